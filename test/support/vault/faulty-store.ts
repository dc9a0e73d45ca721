/**
 * A store that fails on demand, around one that does not: each put takes the next fault of a script, and succeeds when
 * none is left.
 *
 * - `lost-reply`: it happens, and fails as ambiguous.   - `lost-request`: it does not happen, and fails as ambiguous.
 * - `late`: fails as ambiguous, and happens when `deliverLate()` is called. - others: that StoreError, nothing happens.
 */
import { ForwardingStore } from "../../../src/vault/store/forwarding-store.ts";
import { StoreError, type PutOutcome, type Store } from "../../../src/vault/store/store.ts";

export type Fault = "none" | "lost-reply" | "lost-request" | "late" | "full" | "unavailable" | "denied" | "unsuitable";

export class FaultyStore extends ForwardingStore {
  declare readonly inner: Store;
  /** Keys of all puts, in order. */
  readonly puts: string[] = [];
  /** Called at the start of each put, before anything happens, so that another writer can be faster. */
  beforePut: ((key: string) => Promise<void>) | undefined;
  beforeGet: ((key: string) => Promise<void>) | undefined;
  readonly #script: Fault[] = [];
  readonly #late: (() => Promise<PutOutcome>)[] = [];

  /** The next puts meet these faults, one each. */
  failPuts(...faults: readonly Fault[]): void {
    this.#script.push(...faults);
  }

  /** Lets the delayed puts arrive, in the order in which they were sent. */
  async deliverLate(): Promise<PutOutcome[]> {
    const outcomes: PutOutcome[] = [];
    for (const put of this.#late.splice(0)) outcomes.push(await put());
    return outcomes;
  }

  override async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    this.puts.push(key);
    await this.beforePut?.(key);
    const fault = this.#script.shift() ?? "none";
    switch (fault) {
      case "none":
        return this.inner.putIfAbsent(key, bytes);
      case "lost-reply":
        await this.inner.putIfAbsent(key, bytes);
        throw new StoreError("ambiguous", `no answer for ${key}`, "wait");
      case "lost-request":
        throw new StoreError("ambiguous", `no answer for ${key}`, "wait");
      case "late": {
        const copy = new Uint8Array(bytes);
        this.#late.push(() => this.inner.putIfAbsent(key, copy));
        throw new StoreError("ambiguous", `no answer for ${key}`, "wait");
      }
      case "full":
      case "unavailable":
      case "denied":
      case "unsuitable":
        throw new StoreError(fault, `${fault}: ${key}`, "wait");
    }
  }

  override async get(key: string): Promise<Uint8Array | undefined> {
    await this.beforeGet?.(key);
    return super.get(key);
  }
}
