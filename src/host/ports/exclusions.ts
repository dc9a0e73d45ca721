/**
 * This host's copy of the operators' exclusions (vault/store/exclusions.ts): read when it restores, before it opens
 * databases as primary, and on each call. A primary that did not receive the call itself learns of a change with its
 * next term; gateways tell every host.
 */
import type { Clock } from "../../runtime/clock.ts";
import { changeExclusions, type Exclusion, readExclusions } from "../../vault/store/exclusions.ts";
import type { Store } from "../../vault/store/store.ts";

export interface ExclusionsOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Id of this host. */
  readonly host: string;
}

export class Exclusions {
  readonly #options: ExclusionsOptions;
  #list: readonly Exclusion[] = [];
  #names: ReadonlySet<string> = new Set();

  constructor(options: ExclusionsOptions) {
    this.#options = options;
  }

  get list(): readonly Exclusion[] {
    return this.#list;
  }

  /** The same set as long as the names are the same. */
  get names(): ReadonlySet<string> {
    return this.#names;
  }

  /** Throws StoreError, UnknownFormatError. */
  async refresh(): Promise<void> {
    this.#take(await readExclusions(this.#options.store));
  }

  /** Durable when it resolves; false: it was already excluded. Throws StoreError, UnknownFormatError. */
  exclude(name: string): Promise<boolean> {
    const { host, clock } = this.#options;
    return this.#change((now) => (has(now, name) ? undefined : [...now, { name, host, atMs: clock.wallTime() }]));
  }

  /** False: it was not excluded. Throws StoreError, UnknownFormatError. */
  include(name: string): Promise<boolean> {
    return this.#change((now) => (has(now, name) ? now.filter((exclusion) => exclusion.name !== name) : undefined));
  }

  async #change(change: (now: readonly Exclusion[]) => readonly Exclusion[] | undefined): Promise<boolean> {
    let isMade = false;
    this.#take(
      await changeExclusions(this.#options.store, (now) => {
        const next = change(now);
        isMade = next !== undefined;
        return next;
      }),
    );
    return isMade;
  }

  #take(list: readonly Exclusion[]): void {
    this.#list = list;
    const names = new Set(list.map(({ name }) => name));
    if (names.size !== this.#names.size || [...names].some((name) => !this.#names.has(name))) this.#names = names;
  }
}

const has = (list: readonly Exclusion[], name: string): boolean => list.some((exclusion) => exclusion.name === name);
