/**
 * Segment files of the vault: what is written is visible at once and durable after a sync. A power failure takes blocks
 * that no sync has made durable, each for itself, so that an entry may be torn; marks go back to an earlier value or
 * none. A sync that fails may have lost pages, and later syncs of them succeed without making them durable. Time-outs
 * leave it open whether the call took effect, or does later. Names of files are in the vault, which lists and deletes
 * them.
 */
import type { Rules } from "../../src/core/rules.ts";
import {
  type Append,
  appendInOrder,
  type AppendOutcome,
  type AppendParts,
  blockBytes,
  type SegmentFiles,
} from "../../src/vault/store/segment-files.ts";
import { storeErrorOf } from "../../src/vault/store/fs-error.ts";
import { type Store, StoreError } from "../../src/vault/store/store.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { SimProcess } from "./sim-process.ts";
import type { SimVault, Trouble } from "./sim-vault.ts";

export interface SegmentFaults {
  readonly syncFailShare: number;
  /** Share of the parts of appends after which the host stands still, and for how long in the mean. */
  readonly standStillShare: number;
  readonly standStillMs: number;
}

/** What a call does: at once, not, within the time-out, or after it. All but the first two are not answered. */
type Fate = "done" | "refused" | "lost" | "unanswered" | "late";

class SimFile {
  readonly visible: Uint8Array;
  readonly #durable: Uint8Array;
  readonly #dirty = new Set<number>();
  /** A sync of them has failed: none makes them durable any more, though it succeeds. */
  readonly #bad = new Set<number>();

  constructor(bytes: number) {
    this.visible = new Uint8Array(bytes);
    this.#durable = new Uint8Array(bytes);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.visible.set(bytes, offset);
    for (let at = offset; at < offset + bytes.length; at += blockBytes) this.#dirty.add(at / blockBytes);
  }

  sync(): void {
    for (const block of this.#dirty) if (!this.#bad.has(block)) copyBlock(this.visible, this.#durable, block);
    this.#dirty.clear();
  }

  /** Some pages were written all the same, some are dropped, some are there until the power fails. */
  failSync(dice: SeededRandom): void {
    for (const block of this.#dirty) {
      const fate = dice.pick(["written", "dropped", "there"] as const);
      if (fate === "written") copyBlock(this.visible, this.#durable, block);
      else this.#bad.add(block);
      if (fate === "dropped") copyBlock(this.#durable, this.visible, block);
    }
    this.#dirty.clear();
  }

  losePower(dice: SeededRandom): void {
    const keptShare = dice.pick([0, 0.5, 1]);
    for (const block of this.#dirty)
      if (!this.#bad.has(block) && dice.chance(keptShare)) copyBlock(this.visible, this.#durable, block);
    this.#dirty.clear();
    this.visible.set(this.#durable);
  }
}

function copyBlock(from: Uint8Array, to: Uint8Array, block: number): void {
  to.set(from.subarray(block * blockBytes, (block + 1) * blockBytes), block * blockBytes);
}

export class SimSegments {
  readonly vault: SimVault;
  readonly dice: SeededRandom;
  readonly faults: SegmentFaults;
  readonly rules: Rules;
  powerFailures = 0;
  readonly #files = new Map<string, SimFile>();
  readonly #sizes = new Map<string, number>();
  /** All values since the last power failure, and the one that it left. */
  readonly #marks = new Map<string, number[]>();

  constructor(vault: SimVault, dice: SeededRandom, faults: SegmentFaults, rules: Rules) {
    [this.vault, this.dice, this.faults, this.rules] = [vault, dice, faults, rules];
    vault.onPowerLost = () => this.#losePower();
  }

  /** As one host has them. `store`: through which it creates the names. */
  of(process: SimProcess, host: string, store: Store): SegmentFiles {
    return new HostSegments(this, process, host, store);
  }

  announce(key: string, bytes: number): void {
    if (!this.#sizes.has(key)) this.#sizes.set(key, bytes);
  }

  /** Undefined: there is no such file now. */
  file(key: string): SimFile | undefined {
    const bytes = this.#sizes.get(key);
    if (this.vault.get(key) === undefined || bytes === undefined) return undefined;
    const file = this.#files.get(key) ?? new SimFile(bytes);
    this.#files.set(key, file);
    return file;
  }

  markOf(key: string): number | undefined {
    return this.#marks.get(key)?.at(-1);
  }

  mark(key: string, position: number): void {
    this.#marks.set(key, [...(this.#marks.get(key) ?? []), position]);
  }

  #losePower(): void {
    this.powerFailures += 1;
    for (const [key, file] of this.#files) {
      if (this.vault.get(key) === undefined) this.#files.delete(key);
      else file.losePower(this.dice);
    }
    for (const [key, values] of this.#marks) {
      const kept = values[this.dice.int(-1, values.length - 1)];
      if (kept === undefined) this.#marks.delete(key);
      else this.#marks.set(key, [kept]);
    }
  }
}

const slowFactor = 40;
/** Of a write, look or mark, against an operation of the store. */
const quickShare = 0.3;
const sliceMs = 100;

class HostSegments implements SegmentFiles, AppendParts {
  readonly #all: SimSegments;
  readonly #process: SimProcess;
  readonly #host: string;
  readonly #store: Store;
  /** How often the power had failed at the first write since the last sync: a later sync does not bring it back. */
  readonly #writtenIn = new Map<string, number>();

  constructor(all: SimSegments, process: SimProcess, host: string, store: Store) {
    [this.#all, this.#process, this.#host, this.#store] = [all, process, host, store];
  }

  async create(key: string, bytes: number): Promise<void> {
    this.#all.announce(key, bytes);
    await this.#store.putIfAbsent(key, new Uint8Array());
  }

  prepare(): void {
    // Everything is done by `create`.
  }

  async read(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#call("segment read", quickShare, this.#fateOfRead(), () =>
      this.#all.file(key)?.visible.slice(offset, offset + length),
    ).catch(asStoreError("before"));
  }

  append(append: Append): Promise<AppendOutcome> {
    return appendInOrder(this, append, this.#all.rules);
  }

  async write({ key, offset, parts }: Append): Promise<void> {
    const copy = new Uint8Array(Buffer.concat(parts));
    const middle = this.#all.dice.chance(0.2) ? Math.floor(copy.length / 2 / blockBytes) * blockBytes : 0;
    // Readers may see the first part without the second.
    if (middle > 0) await this.#writePart(key, offset, copy.subarray(0, middle));
    await this.#writePart(key, offset + middle, copy.subarray(middle));
    await this.#standStill();
  }

  async sync(key: string): Promise<void> {
    const { dice, faults, vault } = this.#all;
    const isFailing = !vault.isQuiet && dice.chance(faults.syncFailShare);
    await this.#call("segment sync", 1, this.#fateOfWrite(), () => {
      const file = this.#all.file(key);
      if (file === undefined || this.#writtenIn.get(key) !== this.#all.powerFailures) throw errorOf("EIO");
      this.#writtenIn.delete(key);
      if (!isFailing) return file.sync();
      vault.counts.failedSyncs += 1;
      file.failSync(dice);
      throw errorOf("EIO");
    });
    await this.#standStill();
  }

  async exists(key: string): Promise<boolean> {
    const isThere = await this.#call(
      "segment look",
      quickShare,
      this.#fateOfWrite(),
      () => this.#all.vault.get(key) !== undefined,
    );
    await this.#standStill();
    return isThere;
  }

  mark(key: string, position: number): Promise<void> {
    return this.#call("segment mark", quickShare, this.#fateOfWrite(), () => this.#all.mark(key, position)).catch(
      asStoreError("visible"),
    );
  }

  readMark(key: string): Promise<number | undefined> {
    return this.#call("segment mark read", quickShare, this.#fateOfRead(), () => this.#all.markOf(key)).catch(
      asStoreError("before"),
    );
  }

  async close(): Promise<void> {}

  #writePart(key: string, offset: number, bytes: Uint8Array): Promise<void> {
    return this.#call("segment write", quickShare, this.#fateOfWrite(), () => {
      const file = this.#all.file(key);
      if (file === undefined) throw errorOf("ENOENT");
      this.#writtenIn.set(key, Math.min(this.#writtenIn.get(key) ?? Infinity, this.#all.powerFailures));
      file.write(offset, bytes);
    });
  }

  /** Its machine is busy, or the process is suspended for a moment. */
  async #standStill(): Promise<void> {
    const { dice, faults, vault } = this.#all;
    if (vault.isQuiet || !dice.chance(faults.standStillShare)) return;
    // In slices, so that it is over when everything heals.
    for (let leftMs = dice.around(faults.standStillMs); leftMs > 0 && !vault.isQuiet; leftMs -= sliceMs)
      await this.#process.clock.sleep(Math.min(leftMs, sliceMs));
  }

  get #trouble(): Trouble {
    return this.#all.vault.troubleOf(this.#host);
  }

  #fateOfRead(): Fate {
    return this.#trouble === "away" ? "refused" : "done";
  }

  #fateOfWrite(): Fate {
    const { dice, vault } = this.#all;
    const { lostReplyShare, lostRequestShare, lateShare } = vault.options;
    const trouble = this.#trouble;
    if (trouble === "full") return dice.chance(0.3) ? "refused" : "done";
    if (trouble === "away") return dice.chance(lateShare * 4) ? "late" : dice.pick(["refused", "lost"] as const);
    const calm = vault.isQuiet ? 0 : trouble === "ambiguous" ? 8 : 1;
    const drawn = dice.fraction();
    const shares = [
      ["unanswered", Math.min(0.45, lostReplyShare * calm)],
      ["lost", Math.min(0.3, lostRequestShare * calm)],
      ["late", Math.min(0.2, lateShare * calm)],
    ] as const;
    let sum = 0;
    for (const [fate, share] of shares) if (drawn < (sum += share)) return fate;
    return "done";
  }

  #call<T>(label: string, share: number, fate: Fate, effect: () => T): Promise<T> {
    const { world, options } = this.#all.vault;
    const { dice } = this.#all;
    const [there, back] = [this.#latency(share), this.#latency(share)];
    if (fate === "refused") return this.#fail(there, this.#trouble === "full" ? "ENOSPC" : "ECONNREFUSED");
    if (fate === "lost") return this.#fail(options.timeoutMs, "ETIMEDOUT");
    if (fate !== "done" || there + back > options.timeoutMs) {
      const inTime = fate === "done" ? there : dice.between(0, options.timeoutMs);
      const afterMs = fate === "late" ? options.timeoutMs + dice.around(options.lateMs) : inTime;
      world.after(afterMs, `unanswered ${label}`, () => ignoringErrors(effect));
      return this.#fail(options.timeoutMs, "ETIMEDOUT");
    }
    return new Promise((resolve, reject) => {
      world.after(there, label, () => {
        let answer: () => void;
        try {
          const value = effect();
          answer = () => resolve(value);
        } catch (error) {
          answer = () => reject(error);
        }
        world.after(back, `${label} answered`, () => this.#process.enter(answer));
      });
    });
  }

  #fail(afterMs: number, code: string): Promise<never> {
    return this.#process.answer(afterMs, code, () => {
      throw errorOf(code);
    });
  }

  #latency(share: number): number {
    const { options } = this.#all.vault;
    const [least, most] = options.latencyMs;
    const usual = (this.#all.dice.between(least, most) / 2) * share;
    return this.#trouble === "slow" ? usual * slowFactor : usual;
  }
}

const errorOf = (code: string): Error => Object.assign(new Error(code), { code });

const asStoreError =
  (stage: "before" | "visible") =>
  (error: unknown): never => {
    throw error instanceof StoreError ? error : storeErrorOf(error, "segment", stage);
  };

function ignoringErrors(effect: () => unknown): void {
  try {
    effect();
  } catch {
    // Its caller has been told of a time-out.
  }
}
