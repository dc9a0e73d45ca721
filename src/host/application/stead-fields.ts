/**
 * The fields whose names begin with `Stead-`: they pass between gateways, hosts and their applications, and never reach
 * a client.
 */
import type { HeaderList } from "../../http/message/headers.ts";
import { fieldSet, STEAD } from "../../http/message/known-fields.ts";

const isOurs = (name: string): boolean => name.startsWith("stead-");

export const steadFieldSet = fieldSet(STEAD);
export const withoutOurs = (headers: HeaderList): HeaderList =>
  headers.mayHave(steadFieldSet) ? headers.without(isOurs) : headers;

/**
 * Fields with our prefix are for the host, or forged: none of them leaves. `Stead-Checkpoint: now` is a system event.
 */
export function takeSteadFields(headers: HeaderList, term: { onCheckpointAsked(): void }): HeaderList {
  if (headers.mayHave(steadFieldSet) && headers.get("stead-checkpoint") === "now") term.onCheckpointAsked();
  return withoutOurs(headers);
}
