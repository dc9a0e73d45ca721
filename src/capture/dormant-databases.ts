/** The databases that no process has open, by name, and which of them were touched. */
import type { DormantDatabase } from "./dormant-database.ts";
import { type FileIdentity, fileIdentityKey } from "./file-identity.ts";

export class DormantDatabases {
  readonly #databases = new Map<string, DormantDatabase>();
  readonly #identities = new Set<string>();
  readonly #woken = new Set<DormantDatabase>();
  #isTouched = false;

  [Symbol.iterator](): IterableIterator<DormantDatabase> {
    return this.#databases.values();
  }

  get size(): number {
    return this.#databases.size;
  }

  /** One was touched since `takeTouched`. */
  get isTouched(): boolean {
    return this.#isTouched;
  }

  /** One was touched, and is not attached yet. */
  get hasWoken(): boolean {
    return this.#woken.size > 0;
  }

  /** True if it is the file of one of them. */
  has(identity: FileIdentity): boolean {
    return this.#identities.has(fileIdentityKey(identity));
  }

  get(name: string): DormantDatabase | undefined {
    return this.#databases.get(name);
  }

  add(database: DormantDatabase): void {
    this.#databases.set(database.name, database);
    this.#identities.add(fileIdentityKey(database.identity));
  }

  remove(database: DormantDatabase): void {
    if (this.#databases.get(database.name) !== database) return;
    this.#databases.delete(database.name);
    this.#identities.delete(fileIdentityKey(database.identity));
    this.#woken.delete(database);
  }

  wake(database: DormantDatabase): void {
    if (database.isWoken || this.#databases.get(database.name) !== database) return;
    database.isWoken = true;
    this.#woken.add(database);
    this.#isTouched = true;
  }

  /** Capture begins: databases that must be switched to WAL are attached by the next collection. */
  begin(): void {
    for (const database of this.#databases.values()) if (database.mustSwitch) this.wake(database);
  }

  /** Checks each: some events were not reported. */
  lookAtAll(): void {
    for (const database of this.#databases.values()) if (!database.isWoken && database.isTouched()) this.wake(database);
  }

  clear(): void {
    for (const set of [this.#databases, this.#identities, this.#woken]) set.clear();
  }

  /** Earlier touches are being processed. */
  takeTouched(): void {
    this.#isTouched = false;
  }
}
