/**
 * Puts one record and returns only once its outcome is known (R3).
 *
 * A put that failed ambiguously may have happened, or may still happen. It is repeated with the same bytes at the same
 * position until the store returns `created` or `exists`; only then is anything decided. `exists` is decided by
 * content: the nonce in the bytes belongs to this claim alone, so equal bytes are this writer's own record, whose reply
 * was lost.
 *
 * A lease may be counted from `startedAtMs` (R5). The next claimant waits a lease from the moment at which it first saw
 * this record, so the count must begin no later than the record could first be seen:
 * - `created`: this very attempt created it (exclusive creation), so no reader saw it before this attempt began; unless
 *   an earlier, ambiguous one had created it and retention has deleted it since (`goneSince`).
 * - `exists` and ours: an earlier attempt created it, but it is unknown which; the record may have been visible since
 *   the first ambiguous attempt. Attempts before that one are known to have stored nothing.
 */
import { FencedError } from "../errors.ts";
import { decodeOf, type Log } from "./log.ts";
import type { LogRecord, Position } from "../record.ts";
import type { Rules } from "../../core/rules.ts";
import { isTransient, pauseBeforeRetry, retryUntilAnswered, type RetryPorts } from "../store/retry.ts";
import type { PutOutcome } from "../store/store.ts";

export interface PutRecordOptions extends RetryPorts {
  readonly log: Log;
  readonly position: Position;
  readonly bytes: Uint8Array;
  readonly rules: Rules;
}

/**
 * - `mine`: durable at the position. - `other`: that record is at the position. - `gone`: taken by another, and deleted
 *   since.
 */
export type RecordPut =
  | { readonly kind: "mine"; readonly startedAtMs: number }
  | { readonly kind: "other"; readonly record: LogRecord }
  | { readonly kind: "gone"; readonly boundary: Position };

/**
 * Rejects with the signal's reason (the outcome is then unknown), CorruptRecordError, UnknownFormatError, `unsuitable`.
 */
export async function putRecord(options: PutRecordOptions): Promise<RecordPut> {
  let mayBeVisibleSinceMs: number | undefined;
  for (let failures = 0; ; ) {
    options.signal?.throwIfAborted();
    const startedAtMs = options.clock.now();
    let outcome: PutOutcome;
    try {
      outcome = await options.log.put(options.position, options.bytes);
    } catch (error) {
      if (!isTransient(error)) throw error;
      options.onFailure?.(error);
      if (error.kind === "ambiguous") {
        if (!options.rules.has("R3-retry-ambiguous-put")) return { kind: "mine", startedAtMs };
        mayBeVisibleSinceMs ??= startedAtMs;
      }
      failures += 1;
      await pauseBeforeRetry(options, failures);
      continue;
    }
    if (outcome.kind === "created") {
      const gone = mayBeVisibleSinceMs === undefined ? undefined : await goneSince(options);
      return gone ?? { kind: "mine", startedAtMs };
    }
    const owner = await ownerOfRecord(options);
    if (owner.kind === "mine") return { kind: "mine", startedAtMs: mayBeVisibleSinceMs ?? startedAtMs };
    if (owner.kind !== "vanished") return owner;
    failures += 1;
    await pauseBeforeRetry(options, failures);
  }
}

/**
 * Checks a retry that created the record. If an earlier attempt had created it, others may have read it, claimed after
 * it, and deleted it; counting a lease from now would then let a primary that was replaced long ago release bytes. The
 * deletion came after the boundary, so a boundary at or beyond the position shows it.
 */
async function goneSince(options: PutRecordOptions): Promise<{ kind: "gone"; boundary: Position } | undefined> {
  if (!options.rules.has("R4-boundary-check")) return undefined;
  const boundary = await retryUntilAnswered(options, () => options.log.boundary());
  return boundary >= options.position ? { kind: "gone", boundary } : undefined;
}

/**
 * Reads the record at the position that `exists`. "vanished": it is no longer there, but not because of retention: a
 * stale answer.
 */
async function ownerOfRecord(
  options: PutRecordOptions,
): Promise<{ kind: "mine" } | { kind: "vanished" } | Exclude<RecordPut, { kind: "mine" }>> {
  const found = await retryUntilAnswered(options, () => options.log.get(options.position));
  if (found !== undefined) {
    if (Buffer.from(found.buffer, found.byteOffset, found.byteLength).equals(options.bytes)) return { kind: "mine" };
    return { kind: "other", record: await decodeOf(options.log, options.position, found) };
  }
  const boundary = await retryUntilAnswered(options, () => options.log.boundary());
  return boundary >= options.position ? { kind: "gone", boundary } : { kind: "vanished" };
}

export function fencedBy(position: Position, outcome: Exclude<RecordPut, { kind: "mine" }>): FencedError {
  return outcome.kind === "other"
    ? new FencedError(position, outcome.record.header.epoch, outcome.record.header.host)
    : new FencedError(position, 0, "");
}
