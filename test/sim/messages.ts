/** What clients, gateways and fronts say to each other: HTTP requests and responses, without the HTTP. */
import type { Reading, Register } from "./sim-database.ts";

/** An append may not be repeated (POST), an overwriting put may, under conditions (PUT). */
export type RequestKind = "append" | "put" | "read";

export interface Request {
  /** Unique; of a write it is what is appended or put. */
  readonly id: number;
  readonly kind: RequestKind;
  readonly key: number;
  /** `Stead-Epoch`: the epoch for which a gateway routed it. */
  readonly epoch?: number | undefined;
}

export type Answer =
  | { readonly kind: "ok"; readonly reading: Reading; readonly register: Register }
  /** 503 `Stead-Outcome: not-executed`. */
  | { readonly kind: "not-executed"; readonly reason: string }
  /** 502 `Stead-Outcome: unknown`. */
  | { readonly kind: "unknown"; readonly reason: string };

const methods: Readonly<Record<RequestKind, string>> = { append: "POST", put: "PUT", read: "GET" };
export const methodOf = ({ kind }: Request): string => methods[kind];
