/**
 * Tells the checker of records in segments: each record that a host was told counts, by a put of its own or by reading.
 * Two hosts that see different records at one position, and a record that is seen and not in the log in the end, are
 * violations.
 *
 * The end is the hardest one: no host is left, the vault loses its power, and a host that knows nothing reads the log
 * and takes over.
 */
import { allRules, type Rules } from "../../src/core/rules.ts";
import { isVaultError } from "../../src/vault/errors.ts";
import type { Log } from "../../src/vault/log/log.ts";
import { decodeRecord } from "../../src/vault/log/record-codec.ts";
import { logKey } from "../../src/vault/log/log-key.ts";
import { LogReader } from "../../src/vault/log/log-reader.ts";
import { LogWriter } from "../../src/vault/log/log-writer.ts";
import { SegmentLog } from "../../src/vault/log/segment/segment-log.ts";
import type { SegmentSizes } from "../../src/vault/log/segment/segment-writer.ts";
import { keyed } from "../../src/vault/store/keyed-store.ts";
import type { VaultKeys } from "../../src/vault/store/vault-keys.ts";
import type { PutOutcome, Store } from "../../src/vault/store/store.ts";
import type { Checker } from "./checker.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import type { SimOptions } from "./options.ts";
import { SimProcess } from "./sim-process.ts";
import { SimSegments } from "./sim-segments.ts";
import type { SimVault } from "./sim-vault.ts";
import type { World } from "./world.ts";

export interface OracleOptions {
  readonly world: World;
  readonly checker: Checker;
  readonly segments: SimSegments;
  readonly service: string;
  readonly sizes: SegmentSizes;
  readonly rules: Rules;
}

interface Opening extends Pick<OracleOptions, "world" | "checker" | "rules"> {
  readonly options: SimOptions;
}

/** Their dice are thrown apart: they shift nothing of a log of objects. */
export function openSegments(vault: SimVault, service: string, opening: Opening): SegmentOracle {
  const { world, options, rules, checker } = opening;
  const { syncFailShare, standStillShare, standStillMs, segmentBytes, recordMost, seed } = options;
  const faults = { syncFailShare, standStillShare, standStillMs };
  const segments = new SimSegments(vault, new SeededRandom(`segments ${seed}`), faults, rules);
  const sizes = { first: segmentBytes[0], most: segmentBytes[1], recordMost };
  return new SegmentOracle({ world, checker, segments, service, sizes, rules });
}

/** Virtual, for the last reading. */
const auditMsMax = 600_000;
const auditor = "auditor";

export class SegmentOracle {
  readonly #options: OracleOptions;
  readonly #seen = new Map<number, Uint8Array>();
  /** Seen before one before them was: look-ups are answered in any order. */
  readonly #early = new Map<number, Uint8Array>();

  constructor(options: OracleOptions) {
    this.#options = options;
  }

  /** The log of a host process. */
  open(process: SimProcess, host: string, store: Store, dice: SeededRandom): Log {
    const { segments, service, sizes, rules } = this.#options;
    const files = segments.of(process, host, store);
    const { keys } = segments.vault;
    const ports = { clock: process.clock, random: dice, sizes, rules, keys };
    const log = new SegmentLog({ store: keyed(store, keys), files, service, ...ports });
    return new WatchedLog(log, (position, bytes) => this.#onSeen(host, position, bytes));
  }

  /** After everything else: ends nothing that is still running, so it is for a world whose hosts are gone. */
  async audit(dice: SeededRandom): Promise<void> {
    const { world, checker, segments } = this.#options;
    const process = new SimProcess(world, auditor, { rate: 1, wallStartMs: 1_800_000_000_000 });
    const mount = segments.vault.mount(process, auditor);
    const log = this.open(process, auditor, mount, dice);
    let isOver = false;
    const audited = this.#takeOver(log, process, dice)
      .catch((error: unknown) => `the log cannot be read in the end: ${String(error)}`)
      .then((wrong) => {
        isOver = true;
        if (wrong !== undefined) checker.onViolation(wrong);
      });
    if (!(await world.runUntil(world.now + auditMsMax, () => isOver)))
      return checker.onViolation("the log cannot be taken over in the end");
    await audited;
  }

  async #takeOver(log: Log, { clock }: SimProcess, random: SeededRandom): Promise<string | undefined> {
    const last = Math.max(0, ...this.#seen.keys());
    const boundary = await log.boundary();
    const before = this.#seen.get(last);
    if (before === undefined) return undefined;
    const { hash, header } = decodeRecord(log.serviceTag, last, before, undefined, log.keys);
    const reader = new LogReader({ log, start: { position: last, hash, epoch: header.epoch }, rules: allRules });
    const owner = { clock, random, host: auditor, leaseMs: 1_000, controlUrl: "http://auditor", instance: auditor };
    for (let tries = 0; ; tries += 1) {
      while ((await reader.next()) !== undefined);
      const { kind } = await LogWriter.claim({ reader, ...owner, rules: allRules });
      if (kind === "claimed") break;
      if (kind === "void" || tries > 10) return `a claim after the end is ${kind}`;
    }
    for (const [position, bytes] of this.#seen) {
      const found = await log.get(position);
      if (found === undefined ? position > boundary : Buffer.compare(found, bytes) !== 0)
        return `position ${position} was seen by a host, and ${found === undefined ? "is not there" : "is another"} in the end`;
    }
    return undefined;
  }

  #onSeen(host: string, position: number, bytes: Uint8Array): void {
    const { checker } = this.#options;
    const seen = this.#seen.get(position) ?? this.#early.get(position);
    if (seen !== undefined) {
      if (Buffer.compare(seen, bytes) !== 0) checker.onViolation(`${host} sees another record at position ${position}`);
      return;
    }
    // Its own claim is no part of the history.
    if (host === auditor) return;
    this.#early.set(position, bytes.slice());
    for (let next = checker.position + 1; ; next += 1) {
      const record = this.#early.get(next);
      if (record === undefined) return;
      this.#early.delete(next);
      this.#seen.set(next, record);
      try {
        checker.onCreated(logKey(next), record);
      } catch (error) {
        if (!isVaultError(error)) throw error;
        return checker.onViolation(`${host} was given a damaged record: ${error.message}`);
      }
    }
  }
}

class WatchedLog implements Log {
  readonly #log: Log;
  readonly #onSeen: (position: number, bytes: Uint8Array) => void;

  constructor(log: Log, onSeen: (position: number, bytes: Uint8Array) => void) {
    this.#log = log;
    this.#onSeen = onSeen;
  }

  get serviceTag(): Uint8Array {
    return this.#log.serviceTag;
  }

  get keys(): VaultKeys | undefined {
    return this.#log.keys;
  }

  get reusableBytesMax(): number {
    return this.#log.reusableBytesMax;
  }

  async put(position: number, bytes: Uint8Array): Promise<PutOutcome> {
    const outcome = await this.#log.put(position, bytes);
    if (outcome.kind === "created") this.#onSeen(position, bytes);
    return outcome;
  }

  async get(position: number): Promise<Uint8Array | undefined> {
    const bytes = await this.#log.get(position);
    if (bytes !== undefined) this.#onSeen(position, bytes);
    return bytes;
  }

  nameOf = (position: number): string => this.#log.nameOf(position);
  prepare: Log["prepare"] = (...all) => this.#log.prepare(...all);
  stage: Log["stage"] = (bytes) => this.#log.stage(bytes);
  positions: Log["positions"] = (after) => this.#log.positions(after);
  strangeNames: Log["strangeNames"] = () => this.#log.strangeNames();
  boundary: Log["boundary"] = () => this.#log.boundary();
  removeUpTo: Log["removeUpTo"] = (...all) => this.#log.removeUpTo(...all);
  newestEpoch: Log["newestEpoch"] = (signal) => this.#log.newestEpoch(signal);
  decideEnd: Log["decideEnd"] = () => this.#log.decideEnd();
  isEmpty: Log["isEmpty"] = () => this.#log.isEmpty();
}
