/** The fields whose names begin with `Stead-`: they pass between gateways, hosts and applications, never to clients. */
import type { HeaderList } from "./headers.ts";
import { fieldSet, STEAD } from "./known-fields.ts";

export const steadFieldSet = fieldSet(STEAD);
export const withoutSteadFields = (headers: HeaderList): HeaderList =>
  headers.mayHave(steadFieldSet) ? headers.without((name) => name.startsWith("stead-")) : headers;
