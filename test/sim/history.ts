/** What clients saw: one entry per request, with the times at which it began and ended. */
import type { Poison, RequestKind } from "./messages.ts";
import type { Reading } from "./sim-database.ts";

export type Outcome =
  | { readonly kind: "ok"; readonly reading: Reading; readonly value: number }
  /** Unknown: it may have been executed, or be executed later. */
  | { readonly kind: "unknown" }
  /** The service promises that it was not and will not be executed. */
  | { readonly kind: "not-executed" };

export interface Operation {
  readonly id: number;
  readonly client: string;
  readonly kind: RequestKind;
  readonly key: number;
  readonly poison: Poison | undefined;
  readonly calledAt: number;
  returnedAt: number;
  outcome: Outcome;
}
