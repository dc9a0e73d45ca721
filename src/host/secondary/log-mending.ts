/**
 * Handles a record that this host cannot read or apply: it asks the host that can repair the log, and the restore
 * continues once the log is repaired.
 *
 * A record is never skipped. But a living primary has the present databases: a checkpoint from its files, taken behind
 * the record, makes the log whole from there on, and every restore starts from it. Each host that stops there therefore
 * asks the primary for one; it makes them one at a time, and concurrent requests share one. If there is no primary, or
 * its own files are not what it captured, the checkpoint is refused: an operator must act, and the reason of the state
 * says so.
 *
 * Loading every database only to stop at the same record again is useless: between two tries this host looks for a
 * checkpoint behind the record. An occasional try covers a record that was put back, and a fault of this host.
 *
 * A record of an unknown format is no damage, so no checkpoint is requested. One that comes by itself still helps if
 * the records after it have a format that this host reads (src/core/record-format.ts).
 */
import type { Clock } from "../../runtime/clock.ts";
import { listCheckpoints } from "../../vault/checkpoint/checkpoint.ts";
import { CorruptRecordError, UnknownFormatError } from "../../vault/errors.ts";
import type { Log } from "../../vault/log/log.ts";
import type { Position } from "../../vault/record.ts";
import type { Store } from "../../vault/store/store.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { UnappliableFlushError } from "./unappliable-flush.ts";

/** The possible primary, according to its claim. */
export interface ClaimedBy {
  readonly host: string;
  readonly controlUrl: string;
  readonly instance: string;
}

/**
 * Asks the host for a checkpoint; returns undefined if it made one, otherwise why not. Rejects only if the signal is
 * aborted.
 */
export type AskForCheckpoint = (primary: ClaimedBy, signal: AbortSignal) => Promise<string | undefined>;

export interface LogMendingOptions {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  /** This run of the host: it does not ask itself. */
  readonly instance: string;
  /** undefined: no host can be asked; a checkpoint is waited for. */
  readonly ask: AskForCheckpoint | undefined;
  readonly onWarning: (text: string) => void;
}

/**
 * Pause between two tries at the same record; it doubles up to the second value. A checkpoint behind the record ends
 * it.
 */
const retryMs = { first: 5_000, most: 60_000 } as const;
/** Between two looks for a checkpoint. */
const lookMs = 250;

interface Stuck {
  readonly position: Position;
  readonly pauseMs: number;
  /**
   * A checkpoint at this position or before does not help: it is before the record, or was tried already (it is
   * damaged).
   */
  helpsAfter: Position;
}

export class LogMending {
  readonly #options: LogMendingOptions;
  #stuck: Stuck | undefined;

  constructor(options: LogMendingOptions) {
    this.#options = options;
  }

  /** The host has restored, or was told to start over. */
  over(): void {
    this.#stuck = undefined;
  }

  /**
   * Returns what to wait for after a failed restore; undefined: no record is to blame. Rejects with the signal's reason
   * only.
   */
  after(error: unknown, signal: AbortSignal): Promise<void> | undefined {
    const position = positionOf(error);
    if (position === undefined) return undefined;
    const before = this.#stuck?.position === position ? this.#stuck : undefined;
    const pauseMs = before === undefined ? retryMs.first : Math.min(before.pauseMs * 2, retryMs.most);
    const stuck = (this.#stuck = { position, pauseMs, helpsAfter: before?.helpsAfter ?? position - 1 });
    return this.#wait(stuck, !(error instanceof UnknownFormatError), signal);
  }

  async #wait(stuck: Stuck, isDamage: boolean, signal: AbortSignal): Promise<void> {
    const { clock, onWarning } = this.#options;
    const until = clock.now() + stuck.pauseMs;
    if (await this.#isMended(stuck)) return;
    const end = new AbortController();
    let isAsking = true;
    const asked = (isDamage ? this.#ask(stuck.position, AbortSignal.any([signal, end.signal])) : Promise.resolve())
      .catch((error: unknown) => {
        if (!signal.aborted && !end.signal.aborted)
          onWarning(`the primary could not be asked for a checkpoint: ${messageOf(error)}`);
      })
      .finally(() => (isAsking = false));
    try {
      while (!(await this.#isMended(stuck)) && (isAsking || clock.now() < until)) await clock.sleep(lookMs, signal);
    } finally {
      end.abort(new Error("the restore continues"));
      await asked;
    }
  }

  /** A vault that does not answer has no checkpoint to show. */
  async #isMended(stuck: Stuck): Promise<boolean> {
    const newest = (await listCheckpoints(this.#options.store).catch(() => [])).at(-1);
    if (newest === undefined || newest <= stuck.helpsAfter) return false;
    stuck.helpsAfter = newest; // Should the restore stop at the same record all the same.
    return true;
  }

  async #ask(position: Position, signal: AbortSignal): Promise<void> {
    const { log, ask, instance, onWarning } = this.#options;
    const claim = ask === undefined ? undefined : await log.newestEpoch(signal);
    if (ask === undefined || claim === undefined || claim.body.instance === instance) return;
    const { host } = claim.header;
    const { controlUrl } = claim.body;
    const refused = await ask({ host, controlUrl, instance: claim.body.instance }, signal);
    const what = `the log cannot be followed past position ${position}; host ${host} was asked for a checkpoint behind it`;
    onWarning(refused === undefined ? `${what} and made one` : `${what} and did not make one: ${refused}`);
  }
}

/** Returns the position of the record to blame; undefined: none is. */
function positionOf(error: unknown): Position | undefined {
  return error instanceof UnappliableFlushError ||
    error instanceof CorruptRecordError ||
    error instanceof UnknownFormatError
    ? error.position
    : undefined;
}
