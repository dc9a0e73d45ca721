/** What an application answered to a named request (request-names.ts), as the log keeps it for a repetition. */

/** Strings hold one character per byte (latin1). */
export type RequestOutcome =
  | {
      readonly kind: "whole";
      readonly status: number;
      readonly reason: string;
      /** All lines as received, each `Name: value` and CR LF: what a repetition gets of them is decided then. */
      readonly fields: string;
      readonly body: Uint8Array;
    }
  /** The answer is too long to be kept: only that it was given is known, and what it was. */
  | { readonly kind: "answered"; readonly status: number; readonly bodyBytes: number; readonly sha256: string };

/** What one outcome costs in memory and, before compression, in the log. */
export function outcomeBytes(outcome: RequestOutcome): number {
  if (outcome.kind === "answered") return fixedBytes;
  return fixedBytes + outcome.reason.length + outcome.fields.length + outcome.body.byteLength;
}
const fixedBytes = 64;

/** Bounds of the outcomes that a host keeps. */
export interface OutcomeLimits {
  /** Longest body that is kept whole. */
  readonly bodyBytesMax: number;
  /** Milliseconds after which an outcome is forgotten. 0: none is recorded. */
  readonly keepMs: number;
  /** How outcomes are deflated in the log; 0: not, the same bytes under every runtime (the simulation). Default: 1. */
  readonly deflateLevel?: 0 | 1;
}

export const outcomeLimitsDefault: OutcomeLimits = { bodyBytesMax: 64 * 1024, keepMs: 600_000 };
