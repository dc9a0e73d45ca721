/**
 * A switchover's old primary lets its successor go first: its own restore reads the vault and takes the processor at
 * the very moment in which clients wait for the claim and for the application's start there (it made a claim of 11 ms
 * last 58 ms).
 *
 * It ends when the log has two records after the `vacate`: the claim, and the first commit or renewal of the term, by
 * when the application there has started or the lease is half over. It also ends after `yieldMsMax`, since a restoring
 * host cannot take over, and if the vault does not answer: the restore that follows reports that.
 */
import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../vault/log/log.ts";
import type { Position } from "../../vault/record.ts";

const yieldMsMax = 1_000;
const lookEveryMs = 20;
const recordsAwaited = 2;

export interface YieldOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Position of the `vacate` record that names the successor. */
  readonly vacatedAt: Position;
  readonly signal: AbortSignal;
}

/** Never rejects. */
export async function yieldToSuccessor({ log, clock, vacatedAt, signal }: YieldOptions): Promise<void> {
  const until = clock.now() + yieldMsMax;
  try {
    while (clock.now() < until) {
      await clock.sleep(lookEveryMs, signal);
      if ((await log.get(vacatedAt + recordsAwaited)) !== undefined) return;
    }
  } catch {
    // Aborted, or no answer: there is nothing left to wait for.
  }
}
