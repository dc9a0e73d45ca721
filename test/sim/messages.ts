/** What clients, gateways and fronts say to each other: HTTP requests and responses, without the HTTP. */
import type { NamedRequest } from "../../src/core/request-names.ts";
import type { Reading, Register } from "./sim-database.ts";

/** An append is repeated only by name (POST), an overwriting put may, under conditions (PUT). */
export type RequestKind = "append" | "put" | "read";

/**
 * What a request does to the application that executes it: it ends the process, or the answer is one that a proxy must
 * refuse. Neither changes any state.
 */
export type Poison = "ends" | "invalid";

export type Traits = Pick<Request, "poison" | "isLong">;

export interface Request {
  /** Unique; of a write it is what is appended or put. */
  readonly id: number;
  readonly kind: RequestKind;
  readonly key: number;
  readonly poison?: Poison | undefined;
  /** Computes for far longer than the application's patience. */
  readonly isLong?: boolean | undefined;
  /** `Stead-Epoch`: the epoch for which a gateway routed it. */
  readonly epoch?: number | undefined;
  /** `Stead-Request`. */
  readonly named?: NamedRequest | undefined;
}

export type Answer =
  | { readonly kind: "ok"; readonly reading: Reading; readonly register: Register }
  /** 503 `Stead-Outcome: not-executed`. */
  | { readonly kind: "not-executed"; readonly reason: string }
  /** 503 `Stead-Outcome: not-executed`, and not to be repeated: requests like it end the application. */
  | { readonly kind: "put-aside"; readonly reason: string }
  /** 502 `Stead-Outcome: unknown`. */
  | { readonly kind: "unknown"; readonly reason: string; readonly cause?: UnknownCause };

type UnknownCause = "application-ended" | "closed" | "in-doubt" | "invalid";

const methods: Readonly<Record<RequestKind, string>> = { append: "POST", put: "PUT", read: "GET" };
export const methodOf = ({ kind }: Request): string => methods[kind];

/** Each key has a path of its own, and so has each poison. */
export const pathOf = ({ key, poison }: Request): string =>
  poison === undefined ? `/keys/${key}` : `/poison/${poison}`;

/** What an application says: its answer, or one that breaks the rules of HTTP. */
export type ApplicationAnswer = Extract<Answer, { kind: "ok" }> | { readonly kind: "invalid" };
