/**
 * Whether the data that a former primary left on its disk has diverged from the journal: then it is set aside,
 * otherwise it may be removed.
 *
 * The proof is the state as a whole: the checksums of all its databases and of the files beside them, equal to those
 * at a checkpoint or after a flush. A host that comes back late finds a newest checkpoint beyond its own last commit,
 * so its state lies before it: the part of the journal that retention still keeps is then searched too, newest first,
 * for a bounded time. The records contain checksums, so no database is rebuilt for this. A state that is not found is
 * set aside, which is always safe.
 */
import type { DatabaseChecksum } from "../../core/delta.ts";
import { filesStateName, wholeState } from "../../core/files/whole-state.ts";
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type CheckpointManifest, listCheckpoints, readManifest, startOf } from "../../vault/checkpoint/checkpoint.ts";
import { isVaultError } from "../../vault/errors.ts";
import type { Log } from "../../vault/log/log.ts";
import { filesChecksumIn } from "../../vault/log/files-section.ts";
import { LogReader } from "../../vault/log/log-reader.ts";
import type { Position } from "../../vault/record.ts";
import type { Store } from "../../vault/store/store.ts";

export type Checksums = ReadonlyMap<string, DatabaseChecksum>;

export interface HistoryOptions {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly signal: AbortSignal;
}

/** How long the journal before the newest checkpoint is searched. */
const historySearchMsMax = 10_000;

export class Divergence {
  #isRefuted = false;
  readonly #wanted: Checksums | undefined;
  readonly #rules: Rules;

  /** `wanted`: checksums of the data left; undefined if it cannot be read, and then nothing refutes divergence. */
  constructor(wanted: Checksums | undefined, rules: Rules) {
    this.#wanted = wanted === undefined ? undefined : compared(wanted, rules);
    this.#rules = rules;
  }

  /** True if the journal has exactly that state. */
  get isRefuted(): boolean {
    return this.#isRefuted;
  }

  /** Compares a state of the journal. */
  compare(whole: Checksums): void {
    if (this.#isRefuted || this.#wanted === undefined) return;
    const state = compared(whole, this.#rules);
    if (state.size !== this.#wanted.size) return;
    for (const [name, sum] of this.#wanted) {
      const other = state.get(name);
      if (other === undefined || Buffer.compare(sum, other) !== 0) return;
    }
    this.#isRefuted = true;
  }

  /**
   * Searches the states before `position`. Damage and what retention removed only shorten the search; throws
   * StoreError.
   */
  async searchBefore(position: Position, options: HistoryOptions): Promise<void> {
    if (this.#wanted === undefined) return;
    const until = options.clock.now() + historySearchMsMax;
    let end = position;
    for (const start of (await listCheckpoints(options.store)).filter((one) => one < position).toReversed()) {
      try {
        const manifest = await readManifest(options.store, start);
        if (manifest !== undefined) await this.#searchSegment(manifest, end, until, options);
      } catch (error) {
        if (!isVaultError(error)) throw error;
      }
      if (this.#isRefuted || options.clock.now() >= until) return;
      end = start;
    }
  }

  async #searchSegment(
    from: CheckpointManifest,
    end: Position,
    until: number,
    { log, clock, rules, signal }: HistoryOptions,
  ): Promise<void> {
    const state = new Map<string, DatabaseChecksum>(from.databases.map(({ name, checksum }) => [name, checksum]));
    let files = from.files?.checksum;
    this.compare(wholeState(state, files));
    const reader = new LogReader({ log, start: startOf(from), rules });
    while (!this.#isRefuted && reader.position < end && clock.now() < until) {
      signal.throwIfAborted();
      const record = await reader.next();
      if (record === undefined) return;
      if (record.body.kind !== "commit") continue;
      for (const { name, pageCount, checksum } of record.body.databases) {
        if (pageCount === 0) state.delete(name);
        else state.set(name, checksum);
      }
      files = filesChecksumIn(record.sections) ?? files;
      if (record.body.part === record.body.parts) this.compare(wholeState(state, files));
    }
  }
}

/** Rule files-in-state: the files beside the databases count as one of them does. */
const compared = (state: Checksums, rules: Rules): Checksums =>
  rules.has("files-in-state") ? state : new Map([...state].filter(([name]) => name !== filesStateName));
