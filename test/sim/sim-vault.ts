/**
 * The vault: one memory store that every host sees through a mount of its own, with everything that a network file
 * system or an object store does to its users: latency, time-outs whose put took effect, or takes effect later,
 * outages, no space, look-ups that still miss what was created a moment ago. When its power fails it loses what others
 * may have read already, but was told to no host as durable. What it acknowledged it keeps: losing that is excluded by
 * definition (the vault is the only source of truth).
 */
import { logNumbers, VaultKeys } from "../../src/vault/store/vault-keys.ts";
import { type PutOutcome, type Store, StoreError } from "../../src/vault/store/store.ts";
import { assertKey, assertPrefix, pageOf } from "../../src/vault/store/store-key.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

/** As its identity says. */
export const vaultId = "sim";
/** Authenticates; encrypts. Both take the same bytes, so histories with either differ in names of chunks only. */
const dataKeys = [1, 2].map((number) => ({
  number,
  bytes: new Uint8Array(32).fill(6 + number),
  encrypts: number === 2,
}));
/** Of the vault, unless a host of an earlier version uses it. */
export const simKeys = (isEncrypted: boolean): VaultKeys =>
  new VaultKeys(vaultId, { keys: isEncrypted ? dataKeys : dataKeys.slice(0, 1), open: {}, clear: {} });
/** Reads what any wrote. */
export const checkerKeys = new VaultKeys(vaultId, {
  keys: dataKeys,
  open: { [logNumbers]: Number.MAX_SAFE_INTEGER },
  clear: { [logNumbers]: Number.MAX_SAFE_INTEGER },
});

export interface VaultOptions {
  readonly latencyMs: readonly [number, number];
  /** An operation that takes longer fails: a put as ambiguous. */
  readonly timeoutMs: number;
  /** Shares of puts, when nothing else is wrong. */
  readonly lostReplyShare: number;
  readonly lostRequestShare: number;
  readonly lateShare: number;
  readonly lateMs: number;
  /** How long a miss is remembered by the host that missed (negative directory entries); 0: not at all. */
  readonly staleMissMs: number;
  /** Share of deletions that take effect much later. */
  readonly lateDeleteShare: number;
}

export type Trouble = "none" | "away" | "full" | "slow" | "ambiguous";

export interface VaultCounts {
  puts: number;
  ambiguousPuts: number;
  lostReplies: number;
  latePuts: number;
  staleMisses: number;
  refused: number;
  /** Objects that were visible and are gone after a power failure. */
  unsynced: number;
  /** Of segments. */
  failedSyncs: number;
}

export class SimVault {
  keys: VaultKeys | undefined = simKeys(false);
  readonly world: World;
  readonly options: VaultOptions;
  readonly dice: SeededRandom;
  readonly counts: VaultCounts = {
    puts: 0,
    ambiguousPuts: 0,
    lostReplies: 0,
    latePuts: 0,
    staleMisses: 0,
    refused: 0,
    unsynced: 0,
    failedSyncs: 0,
  };
  /** For every host. */
  trouble: Trouble = "none";
  /** For one host: its mount is away, slow, ... */
  readonly troubles = new Map<string, Trouble>();
  /**
   * What is visible. Contents are copied on the way in only: who changes what it was given breaks the hash in it, and
   * the next reader says so.
   */
  readonly #objects = new Map<string, Uint8Array>();
  /** What was durable last, also when it was deleted since. */
  readonly #durable = new Map<string, Uint8Array>();
  /** Visible, and not durable yet. */
  readonly #unsynced = new Map<string, { readonly bytes: Uint8Array; readonly by: string }>();
  /** Told of each creation when it is durable, in that order. */
  onCreated: (key: string, bytes: Uint8Array, by: string) => void = () => undefined;
  onPowerLost: () => void = () => undefined;
  /** Told of each deletion when it is asked for, and when it takes effect. */
  onDeletionAsked: (key: string) => void = () => undefined;
  onDeleted: (key: string) => void = () => undefined;
  isQuiet = false;

  constructor(world: World, dice: SeededRandom, options: VaultOptions) {
    this.world = world;
    this.dice = dice;
    this.options = options;
  }

  mount(process: SimProcess, host: string): Store {
    return new Mount(this, process, host);
  }

  troubleOf(host: string): Trouble {
    const own = this.troubles.get(host) ?? "none";
    return own === "none" ? this.trouble : own;
  }

  /**
   * The effect of a put, at this moment: visible now, durable after `syncMs`. `exists` is only said of what is durable.
   */
  create(key: string, bytes: Uint8Array, by: string, syncMs: number): PutOutcome {
    if (this.#objects.has(key)) {
      this.#sync(key);
      return { kind: "exists" };
    }
    this.#objects.set(key, bytes);
    this.#unsynced.set(key, { bytes, by });
    this.world.after(syncMs, "synced", () => this.#sync(key));
    return { kind: "created" };
  }

  get(key: string): Uint8Array | undefined {
    return this.#objects.get(key);
  }

  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): string[] {
    const keys: string[] = [];
    for (const key of this.#objects.keys()) if (key.startsWith(prefix)) keys.push(key);
    return pageOf(keys, options);
  }

  delete(key: string): void {
    if (this.#objects.delete(key)) this.onDeleted(key);
  }

  /** Whether it is there, and stays without power. */
  isDurable(key: string): boolean {
    return this.#objects.has(key) && !this.#unsynced.has(key);
  }

  /** Whether what a put made visible is there still. */
  has(key: string, bytes: Uint8Array): boolean {
    const unsynced = this.#unsynced.get(key);
    return (unsynced?.bytes ?? this.#durable.get(key)) === bytes;
  }

  /** Its power fails: what is not durable is gone. */
  losePower(): void {
    for (const key of this.#unsynced.keys()) {
      this.counts.unsynced += 1;
      this.world.say("vault", `loses ${key}, which was visible and not durable`);
      this.#objects.delete(key);
    }
    this.#unsynced.clear();
    this.onPowerLost();
  }

  #sync(key: string): void {
    const unsynced = this.#unsynced.get(key);
    if (unsynced === undefined) return;
    this.#unsynced.delete(key);
    this.#durable.set(key, unsynced.bytes);
    this.onCreated(key, unsynced.bytes, unsynced.by);
  }
}

const slowFactor = 40;

class Mount implements Store {
  readonly url = "sim:";
  readonly files = undefined;
  readonly #vault: SimVault;
  readonly #process: SimProcess;
  readonly #host: string;
  /** Until when a miss is remembered. */
  readonly #misses = new Map<string, number>();

  constructor(vault: SimVault, process: SimProcess, host: string) {
    this.#vault = vault;
    this.#process = process;
    this.#host = host;
  }

  prepare(): void {
    // Everything is done by the put.
  }

  async stage(): Promise<undefined> {}

  putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    assertKey(key);
    const { options, dice, counts } = this.#vault;
    const copy = new Uint8Array(bytes);
    counts.puts += 1;
    const trouble = this.#vault.troubleOf(this.#host);
    if (trouble === "full") return this.#fail("full", key, this.#latency());
    if (trouble === "away") {
      const isLate = dice.chance(options.lateShare * 4);
      if (!isLate && dice.chance(0.5)) return this.#fail("unavailable", key, this.#latency());
      return this.#ambiguous(key, copy, isLate ? options.timeoutMs + dice.around(options.lateMs) : undefined);
    }
    const storm = trouble === "ambiguous" ? 8 : 1;
    const calm = this.#vault.isQuiet ? 0 : storm;
    const fate = dice.fraction();
    const lostReply = Math.min(0.45, options.lostReplyShare * calm);
    const lostRequest = Math.min(0.3, options.lostRequestShare * calm);
    const late = Math.min(0.2, options.lateShare * calm);
    if (fate < lostReply) {
      counts.lostReplies += 1;
      return this.#ambiguous(key, copy, dice.between(0, options.timeoutMs));
    }
    if (fate < lostReply + lostRequest) return this.#ambiguous(key, copy, undefined);
    if (fate < lostReply + lostRequest + late) {
      counts.latePuts += 1;
      return this.#ambiguous(key, copy, options.timeoutMs + dice.around(options.lateMs));
    }
    const there = this.#latency();
    const back = this.#latency();
    if (there + back > options.timeoutMs) return this.#ambiguous(key, copy, there);
    const effect = (): PutOutcome => {
      this.#misses.delete(key);
      return this.#vault.create(key, copy, this.#host, back);
    };
    return this.#operation("put", "put answered", there, back, effect, (outcome) => {
      if (outcome.kind === "exists" || this.#vault.has(key, copy)) return outcome;
      throw new StoreError("ambiguous", `no answer: ${key}`, "wait");
    });
  }

  get(key: string): Promise<Uint8Array | undefined> {
    assertKey(key);
    if (this.#vault.troubleOf(this.#host) === "away") return this.#fail("unavailable", key, this.#latency());
    return this.#operation("get", "get answered", this.#latency(), this.#latency(), () => {
      const now = this.#vault.world.now;
      const found = this.#vault.get(key);
      if ((this.#misses.get(key) ?? -1) > now) {
        if (found !== undefined) this.#vault.counts.staleMisses += 1;
        return undefined;
      }
      const { staleMissMs } = this.#vault.options;
      if (found === undefined && staleMissMs > 0 && !this.#vault.isQuiet)
        this.#misses.set(key, now + this.#vault.dice.between(0, staleMissMs));
      return found;
    });
  }

  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<string[]> {
    assertPrefix(prefix);
    if (this.#vault.troubleOf(this.#host) === "away") return this.#fail("unavailable", prefix, this.#latency());
    return this.#operation("list", "list answered", this.#latency(), this.#latency(), () =>
      this.#vault.list(prefix, options),
    );
  }

  delete(key: string): Promise<void> {
    assertKey(key);
    this.#vault.onDeletionAsked(key);
    if (this.#vault.troubleOf(this.#host) === "away") return this.#fail("unavailable", key, this.#latency());
    const { options, dice } = this.#vault;
    if (dice.chance(options.lateDeleteShare)) {
      this.#vault.world.after(dice.around(options.lateMs), "late delete", () => this.#vault.delete(key));
      return this.#operation("delete", "delete answered", this.#latency(), this.#latency(), () => undefined);
    }
    return this.#operation("delete", "delete answered", this.#latency(), this.#latency(), () =>
      this.#vault.delete(key),
    );
  }

  #latency(): number {
    const [least, most] = this.#vault.options.latencyMs;
    const usual = this.#vault.dice.between(least, most) / 2;
    return this.#vault.troubleOf(this.#host) === "slow" ? usual * slowFactor : usual;
  }

  /** `answerOf` is asked when the answer arrives; what it throws is the answer then. */
  #operation<T>(
    label: string,
    answerLabel: string,
    there: number,
    back: number,
    effect: () => T,
    answerOf?: (value: T) => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const { world } = this.#vault;
      world.after(there, label, () => {
        const value = effect();
        const answer = (): void => {
          if (answerOf === undefined) return resolve(value);
          try {
            resolve(answerOf(value));
          } catch (error) {
            reject(error);
          }
        };
        world.after(back, answerLabel, () => this.#process.enter(answer));
      });
    });
  }

  /** Times out; the effect comes when it comes, or never. */
  #ambiguous(key: string, bytes: Uint8Array, effectAfterMs: number | undefined): Promise<never> {
    this.#vault.counts.ambiguousPuts += 1;
    if (effectAfterMs !== undefined) {
      this.#vault.world.after(effectAfterMs, "ambiguous put", () => {
        this.#vault.create(key, bytes, this.#host, this.#latency());
      });
    }
    return this.#fail("ambiguous", key, this.#vault.options.timeoutMs);
  }

  #fail(kind: "ambiguous" | "full" | "unavailable", key: string, afterMs: number): Promise<never> {
    this.#vault.counts.refused += 1;
    return this.#process.answer(afterMs, kind, () => {
      throw new StoreError(kind, `${kind}: ${key}`, "wait");
    });
  }
}
