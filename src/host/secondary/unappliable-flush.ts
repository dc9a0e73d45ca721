/**
 * A flush that does not match its own checksum: no host can apply it, or what follows it, until a checkpoint behind it
 * starts over.
 *
 * All code that applies a log throws this error, so that every host names the same record; `stead vault verify` finds
 * the same ones with the same proof (page-proof.ts).
 */
import { ReplicaError } from "../../capture/replica-error.ts";
import type { Flush } from "../../core/flush.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { Position } from "../../vault/record.ts";

export class UnappliableFlushError extends OperatorError {
  /** Of the last part of the flush. */
  readonly position: Position;
  readonly database: string;
  constructor(position: Position, wholeUpTo: Position, cause: ReplicaError) {
    const advice =
      `a running primary repairs it with a checkpoint from its files (stead checkpoint), from which hosts continue; without one, ` +
      `stead vault restore --last-whole restores the state at position ${wholeUpTo}; the last primary's own data is in its data folder or set aside`;
    super(
      "vault",
      {
        found: `the flush that ends at position ${position} cannot be applied: ${cause.message}`,
        accepted: `states up to position ${wholeUpTo}`,
        advice,
      },
      { cause },
    );
    this.position = position;
    this.database = cause.database;
  }
}

interface FlushTarget {
  apply(flush: Flush): Promise<void>;
}

/** Applies a flush. Throws UnappliableFlushError if the flush itself is refused, and errors of `target`. */
export async function applyFlush(target: FlushTarget, flush: Flush, wholeUpTo: Position): Promise<void> {
  try {
    await target.apply(flush);
  } catch (error) {
    throw error instanceof ReplicaError && error.kind === "content"
      ? new UnappliableFlushError(flush.to, wholeUpTo, error)
      : error;
  }
}
