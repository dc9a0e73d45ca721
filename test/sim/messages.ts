/** What clients, gateways and fronts say to each other: HTTP requests and responses, without the HTTP. */
import type { Reading } from "./sim-database.ts";

export interface Request {
  /** Unique; of an append it is what is appended. */
  readonly id: number;
  readonly kind: "append" | "read";
  readonly key: number;
  /** `Stead-Epoch`: the epoch for which a gateway routed it. */
  readonly epoch?: number | undefined;
}

export type Answer =
  | { readonly kind: "ok"; readonly reading: Reading }
  /** 503 `Stead-Outcome: not-executed`. */
  | { readonly kind: "not-executed"; readonly reason: string }
  /** 502 `Stead-Outcome: unknown`. */
  | { readonly kind: "unknown"; readonly reason: string };

export const methodOf = (request: Request): string => (request.kind === "read" ? "GET" : "POST");
