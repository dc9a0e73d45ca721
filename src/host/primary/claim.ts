/**
 * R1 as a host performs it: read the log to its end, claim right after it; if another host wrote in between, read on.
 *
 * A vault that does not answer for a while is waited for. A primary that keeps writing faster than this host can read
 * and claim is healthy as far as the vault shows: after a few of its leases the claim is given up, and the caller is
 * told. Otherwise this host would chase that primary without end, and meanwhile not be a secondary.
 *
 * A claim that cannot be written for `claimMsMax` is also given up: waiting does not fix a read-only mount, and a
 * claiming host obeys no order. Giving up is like dying in the middle of the claim: R3 binds a writer that continues.
 * The put may still take effect; this host then reads its own claim like any other, serves nothing by it, and its
 * gateways see an epoch whose owner is not primary.
 */
import { type ClaimOptions, LogWriter } from "../../vault/log/log-writer.ts";
import type { LogRecord } from "../../vault/record.ts";
import { retryUntilAnswered } from "../../vault/store/retry.ts";
import type { Follower, Predecessor } from "../secondary/follower.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { wallAheadOf } from "./suspension.ts";

export interface Claimed {
  readonly writer: LogWriter;
  readonly record: LogRecord;
  /** The claims whose leases must be over before this host serves (R5). */
  readonly predecessors: readonly Predecessor[];
  /** `wallAheadOf` the clock before the claim, to detect a suspension of the machine since then (suspension.ts). */
  readonly wallAheadMs: number;
}

export type ClaimResult =
  | { readonly kind: "claimed"; readonly claimed: Claimed }
  /** Another host's claim came first. */
  | { readonly kind: "lost"; readonly epoch: number; readonly host: string }
  /** The primary that is to be replaced was always faster: it is alive. */
  | { readonly kind: "outrun"; readonly host: string }
  | { readonly kind: "void" }
  /** The vault did not accept it in time; `failure` is its last error. */
  | { readonly kind: "unwritten"; readonly failure: string };

/** For how many leases a claim competes with a primary that writes. */
const patienceLeases = 3;
/** How long a claim is tried on a vault that does not accept it. */
const claimMsMax = 10_000;

type ClaimEpochOptions = Omit<ClaimOptions, "reader"> & { readonly overEpoch: number };

/** Rejects with what reading or putting throws, or the signal's reason. */
export async function claimEpoch(follower: Follower, options: ClaimEpochOptions): Promise<ClaimResult> {
  const { clock, signal } = options;
  let failure = `no answer within ${claimMsMax} ms`;
  const onFailure: ClaimOptions["onFailure"] = (error) => {
    failure = messageOf(error);
    options.onFailure?.(error);
  };
  // Not AbortSignal.any, see lease-wait.ts.
  const over = new AbortController();
  const onAbort = (): void => over.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer = clock.setTimer(claimMsMax, () => over.abort(new Error("the vault did not take the claim in time")));
  try {
    signal?.throwIfAborted();
    return await claimUntilDecided(follower, { ...options, onFailure, signal: over.signal });
  } catch (error) {
    if (over.signal.aborted && signal?.aborted !== true) return { kind: "unwritten", failure };
    throw error;
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}

async function claimUntilDecided(follower: Follower, options: ClaimEpochOptions): Promise<ClaimResult> {
  const { clock, random, signal, onFailure } = options;
  // The epoch on which the order was judged, not the newest read since: a successor that claimed meanwhile is not
  // overtaken.
  const epochBefore = options.overEpoch;
  const patientUntil = clock.now() + patienceLeases * (follower.epoch?.leaseMs ?? 0);
  return follower.alone(async (catchUp) => {
    for (;;) {
      if (options.rules.has("R1-claim-after-end-of-log"))
        await retryUntilAnswered({ clock, random, signal, onFailure }, () => catchUp(signal));
      const before = follower.epoch;
      if (before !== undefined && before.epoch > epochBefore)
        return { kind: "lost", epoch: before.epoch, host: before.host };
      // Taken before the claim: R5 counts from the last records of the predecessors, not from our own.
      const predecessors = follower.predecessors();
      const wallAheadMs = wallAheadOf(clock);
      const outcome = await LogWriter.claim({ reader: follower.reader, ...options });
      switch (outcome.kind) {
        case "claimed":
          return {
            kind: "claimed",
            claimed: { writer: outcome.writer, record: outcome.record, predecessors, wallAheadMs },
          };
        case "void":
          return { kind: "void" };
        case "beaten":
          if (outcome.record.header.epoch === epochBefore && clock.now() >= patientUntil)
            return { kind: "outrun", host: outcome.record.header.host };
          break;
      }
    }
  });
}
