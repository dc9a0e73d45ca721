/**
 * The protocol's rules as switches, so that the simulation can break exactly one and prove that it is needed.
 *
 * Production code never passes anything but `allRules`. Each module that implements a rule takes `rules: Rules` and
 * asks `rules.has("…")` at the one place where the rule acts. The names are those of docs/PROTOCOL.md, which has each
 * rule's statement and argument.
 */
export type RuleName =
  | "R1-claim-after-end-of-log"
  | "R2-fenced-on-exists"
  | "R3-retry-ambiguous-put"
  | "R4-boundary-check"
  | "R5-lease-for-reads"
  | "R5-wait-out-old-lease"
  | "R6-checkpoint-before-delete"
  | "gate"
  | "gate-own-call"
  | "chain"
  | "authentic"
  | "common-format"
  | "persist-before-send"
  | "majority"
  | "epoch-proof"
  | "replay"
  | "replay-later-epoch"
  | "replay-own-epoch"
  | "replay-named"
  | "replay-named-known"
  | "replay-named-collected"
  | "replay-named-carried"
  | "replay-named-run"
  | "replay-outcome-covered"
  | "replay-outcome-durable"
  | "replay-outcome"
  | "replay-bound"
  | "suspects-complete"
  | "pin-order"
  | "files-before-rows"
  | "files-after-deletions"
  | "files-overflow"
  | "files-rename-whole"
  | "files-with-rows"
  | "files-at-checkpoint"
  | "files-in-state"
  | "files-chunk-before-flush"
  | "files-chunk-read-back"
  | "files-chunks-of-flushes"
  | "files-chunks-of-checkpoints"
  | "files-moved-away"
  | "files-unknown-kept"
  | "files-no-link-followed"
  | "retry"
  | "brake"
  | "liveness-progress"
  | "no-leftovers"
  | "segment-sync-before-look"
  | "segment-claim-before-end"
  | "segment-no-gap"
  | "segment-seal-counts"
  | "segment-only-what-counts"
  | "segment-failed-file-left"
  | "segment-carried-record";

export interface Rules {
  has(rule: RuleName): boolean;
}

/** The only rules of a production build: every one is in force. */
export const allRules: Rules = { has: () => true };

/** For the simulation: all rules but one. */
export const withoutRule = (broken: RuleName): Rules => ({ has: (rule) => rule !== broken });
