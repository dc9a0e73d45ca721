/**
 * The databases of a service as they come and go in the data folder.
 *
 * `differs()` says in the same turn whether the folder holds something else than what is captured; `follow()` attaches what
 * appeared, drops what vanished, and refuses what was replaced or moved. A database that vanished stays open as long as a
 * snapshot or a batch still reads it: its descriptors must not come to mean another file.
 *
 * What vanished is a deletion, and journaled as one, only when the file is gone for good. One that lives on under another name was
 * moved: by the application, by an operator, by another host that was given the same folder. Its `-wal` was not, and whoever has
 * it open goes on committing where nobody looks.
 */
import { nameMatcher } from "../core/database-pattern.ts";
import type { Rules } from "../core/rules.ts";
import type { Clock } from "../runtime/clock.ts";
import { attach } from "./attach.ts";
import { CaptureError } from "./capture-error.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { pathOf, textOf } from "./data-path.ts";
import { Discovery, type FoundFile } from "./discovery.ts";
import { type FileIdentity, identityAt, sameFile } from "./file-identity.ts";
import { FileLocks } from "./file-locks.ts";
import { auditMs, type SourceLimits, suspectsPerLook, unlistedMs } from "./limits.ts";
import { companionsGone, moved, replaced, writtenAfterDeletion } from "./refusals.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import { UnlistedLogs } from "./unlisted-logs.ts";
import { adviseOnWriter } from "./writer-version.ts";

const retryMs = 2;

export interface DatabaseSetOptions {
  readonly root: string;
  readonly databases: readonly string[];
  readonly except?: readonly string[] | undefined;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly limits: SourceLimits;
  onWarning(text: string): void;
}

export class DatabaseSet {
  readonly #options: DatabaseSetOptions;
  readonly #discovery: Discovery;
  readonly #databases = new Map<string, TrackedDatabase>();
  /** The same databases, to go round them; made anew when they change. */
  #order: TrackedDatabase[] | undefined;
  #nextSuspect = 0;
  #auditAtMs = 0;
  #unlistedAtMs = 0;
  readonly #unlisted: UnlistedLogs;
  /** The last scan in which everything was in its place: a removed `-wal` changes its folder, and so makes a new one. */
  #seen: ReadonlyMap<string, FoundFile> | undefined;
  #isWriterTold = false;
  readonly #told = new Set<string>();
  /** Vanished, but still being read. */
  #retired: TrackedDatabase[] = [];

  constructor(options: DatabaseSetOptions) {
    this.#options = options;
    const isOpen = (identity: FileIdentity): boolean => [...this.#databases.values(), ...this.#retired].some(({ files }) => files.owns(identity));
    const onWarning = (text: string): void => this.#tellOnce(text);
    this.#unlisted = new UnlistedLogs({ root: options.root, isExcepted: nameMatcher(options.except ?? []), isCaptured: isOpen, onWarning });
    this.#discovery = new Discovery({
      root: options.root,
      databases: options.databases,
      except: options.except,
      wallTime: () => options.clock.wallTime(),
      isOpen,
    });
  }

  [Symbol.iterator](): IterableIterator<TrackedDatabase> {
    return this.#databases.values();
  }

  /**
   * Something moved beside the WAL index of a database. Of many databases each call looks at the next ones, so that the gate of
   * a service with thousands costs what the index costs. docs/CAPTURE.md says what that lets pass. Sync.
   */
  isSuspicious(): boolean {
    for (let i = Math.min(suspectsPerLook, this.#databases.size); i > 0; i--) if (this.#inTurn()?.isSuspicious() === true) return true;
    return false;
  }

  /** Something appeared, vanished or was replaced since `follow`. Sync; cheap when the folders did not change. */
  differs(): boolean {
    const found = this.#discovery.refresh();
    if (found.size !== this.#databases.size) return true;
    for (const [name, database] of this.#databases) {
      const file = found.get(name);
      if (file === undefined || !sameFile(file.identity, database.files.identity)) return true;
    }
    if (this.#retired.some((database) => database.wasWrittenSince())) return true;
    if (found === this.#seen) return false;
    for (const { files } of this.#databases.values()) if (files.companions() !== "same") return true;
    this.#seen = found;
    return this.#auditSome(suspectsPerLook);
  }

  /**
   * At intervals: whether the files are still the ones at their paths, which the change time of a folder does not tell when a link on
   * the way leads elsewhere or something is mounted there, and whether somebody uses another log. One database each time.
   */
  audit(nowMs: number): void {
    if (nowMs < this.#auditAtMs) return;
    this.#auditAtMs = nowMs + auditMs / Math.max(1, this.#databases.size);
    const database = this.#databases.size === 0 ? undefined : this.#inTurn();
    if (database !== undefined && !this.#isInPlace(database)) this.#discovery.forget();
    this.#auditSome(1);
    if (nowMs < this.#unlistedAtMs) return;
    this.#unlistedAtMs = nowMs + unlistedMs;
    const locks = FileLocks.now();
    if (locks !== undefined) this.#unlisted.look(locks, new Set([...this.#databases.values()].map(({ watch }) => watch.indexInode)));
  }

  /** Its files are at their paths, and its name leads to them. */
  #isInPlace({ name, files }: TrackedDatabase): boolean {
    const found = identityAt(pathOf(this.#options.root, name));
    return found !== undefined && sameFile(found, files.identity) && files.companions() === "same";
  }

  /** True when somebody uses another log of one of the next databases. */
  #auditSome(count: number): boolean {
    const locks = FileLocks.now();
    if (locks === undefined) return false;
    for (let i = Math.min(count, this.#databases.size); i > 0; i--) this.#inTurn()?.watch.audit(locks);
    return this.isSuspicious();
  }

  #inTurn(): TrackedDatabase | undefined {
    this.#order ??= [...this.#databases.values()];
    this.#nextSuspect = (this.#nextSuspect + 1) % this.#order.length;
    return this.#order[this.#nextSuspect];
  }

  /** Throws `CaptureError` when the data folder is not the one of the start. */
  assertRootInPlace(): void {
    this.#discovery.assertRootInPlace();
  }

  /** Makes the set what the folder holds; returns the databases that vanished. Throws `CaptureError`. */
  async follow(): Promise<TrackedDatabase[]> {
    await this.#awaitDeletions();
    const found = this.#discovery.refresh();
    const gone: TrackedDatabase[] = [];
    for (const [name, database] of this.#databases) {
      const file = found.get(name);
      if (file !== undefined && sameFile(file.identity, database.files.identity)) continue;
      if (file !== undefined) throw replaced(name);
      if (database.files.hasName) throw moved(name);
      this.#databases.delete(name);
      this.#order = undefined;
      this.#retired.push(database);
      gone.push(database);
      database.retire();
    }
    for (const database of this.#retired) if (database.wasWrittenSince()) throw writtenAfterDeletion(database.name, database.files.users());
    for (const [name, file] of found) {
      if (!this.#databases.has(name)) await this.#attach(name, file);
    }
    this.#tellLinks();
    return gone;
  }

  #tellLinks(): void {
    for (const [alias, name] of this.#discovery.aliases) this.#tellOnce(`${alias} is a symbolic link to ${name}, which is captured under that name: make the same link on every host, links are not copied`);
    for (const [name, { isLink, path }] of this.#discovery.refresh()) {
      if (isLink) this.#tellOnce(`${name} is a symbolic link to ${textOf(path)}: a restore puts a file in the place of the link`);
    }
  }

  #tellOnce(text: string): void {
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#options.onWarning(text);
  }

  /** Whoever deletes a database deletes three files, in any order: in between it looks like one whose companions were removed. */
  async #awaitDeletions(): Promise<void> {
    if (this.#discovery.refresh() === this.#seen) return;
    const { clock, limits } = this.#options;
    const giveUpMs = clock.now() + limits.deletionMsMax;
    for (const [name, { files }] of this.#databases) {
      for (;;) {
        const companions = files.companions();
        if (companions === "same" || !this.#discovery.refresh().has(name)) break;
        if (companions === "replaced" || clock.now() > giveUpMs) throw companionsGone(name);
        await clock.sleep(retryMs);
      }
    }
  }

  /** Closes what vanished and is not read any more. */
  closeRetired(): void {
    this.#retired = this.#retired.filter((database) => {
      if (database.holds > 0 || database.files.snapshotReading || database.isInUse(this.#options.clock.now())) return true;
      database.pin.end();
      database.files.close(false);
      return false;
    });
  }

  endSnapshot(): void {
    for (const { files } of [...this.#databases.values(), ...this.#retired]) files.endSnapshot();
    this.closeRetired();
  }

  /**
   * Closes everything. `onUnfolded` hears of databases whose WAL could not be folded into them, with the reason (the disk is full,
   * another process reads it): together they are the same state.
   */
  close(keepWal: boolean, onUnfolded: (name: string, why: string) => void): void {
    this.endSnapshot();
    for (const database of [...this.#databases.values(), ...this.#retired]) {
      const { files, pin, name } = database;
      pin.end();
      files.unlockWriters();
      const unfolded = keepWal || this.#databases.get(name) !== database ? undefined : whyUnfolded(files);
      if (unfolded !== undefined) onUnfolded(name, unfolded);
      files.close(keepWal);
    }
    this.#databases.clear();
    this.#order = undefined;
    this.#retired = [];
    this.#discovery.close();
  }

  async #attach(name: string, file: FoundFile): Promise<void> {
    const { rules, clock, limits } = this.#options;
    if (this.#databases.size >= limits.databasesMax) throw tooMany(name, limits.databasesMax);
    for (const other of this.#databases.values()) {
      if (sameFile(other.files.identity, file.identity)) throw sameFileTwice(name, other.name);
    }
    const onAttached = (database: TrackedDatabase): void => {
      this.#databases.set(name, database);
      this.#order = undefined;
      const advice = adviseOnWriter(name, database.files.dbFd);
      if (advice !== undefined && !this.#isWriterTold) this.#options.onWarning(advice);
      this.#isWriterTold ||= advice !== undefined;
    };
    await attach({ name, file, rules, clock, limits, onAttached, onWarning: (text) => this.#options.onWarning(text) });
  }
}

function whyUnfolded(files: DatabaseFiles): string | undefined {
  try {
    return files.fold() ? undefined : "another process still reads it";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function tooMany(name: string, databasesMax: number): CaptureError {
  return new CaptureError({
    kind: "limit",
    database: name,
    found: `more than ${databasesMax} databases`,
    accepted: `at most ${databasesMax}`,
    advice: "Narrow the service's list of databases, or split the service.",
  });
}

function sameFileTwice(name: string, other: string): CaptureError {
  return new CaptureError({
    kind: "name",
    database: name,
    found: `the same file as ${other}`,
    accepted: "one name per file",
    advice: "Remove the hard link or symbolic link, or name only one of them.",
  });
}
