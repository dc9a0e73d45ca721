/** R1 as a host performs it: read the log to its end, claim right after it; when somebody wrote in between, read on. */
import type { Predecessor } from "../core/lease.ts";
import { type ClaimOptions, LogWriter } from "../vault/log-writer.ts";
import type { LogRecord } from "../vault/record.ts";
import type { EpochSeen, Follower } from "./follower.ts";

export interface Claimed {
  readonly writer: LogWriter;
  readonly record: LogRecord;
  readonly predecessor: Predecessor;
  /** The epoch before this claim, to ask its process whether it is gone. */
  readonly before: EpochSeen | undefined;
}

export type ClaimResult =
  | { readonly kind: "claimed"; readonly claimed: Claimed }
  /** Another host's claim came first. */
  | { readonly kind: "lost"; readonly epoch: number; readonly host: string }
  | { readonly kind: "void" };

/** Rejects with what reading or putting throws, or the signal's reason. */
export async function claimEpoch(follower: Follower, options: Omit<ClaimOptions, "reader">): Promise<ClaimResult> {
  const epochBefore = follower.epoch?.epoch ?? 0;
  for (;;) {
    if (options.rules.has("R1-claim-after-end-of-log")) await follower.catchUp();
    const before = follower.epoch;
    if (before !== undefined && before.epoch > epochBefore) return { kind: "lost", epoch: before.epoch, host: before.host };
    // Taken before the claim: R5 counts from the last record of the predecessor, not from our own.
    const predecessor = follower.predecessor();
    const outcome = await LogWriter.claim({ reader: follower.reader, ...options });
    switch (outcome.kind) {
      case "claimed":
        return { kind: "claimed", claimed: { writer: outcome.writer, record: outcome.record, predecessor, before } };
      case "void":
        return { kind: "void" };
      case "beaten":
        break;
    }
  }
}
