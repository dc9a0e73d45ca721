/**
 * Copies a vault to a second place while it is in use, so that the place is itself a vault at any moment: `stead vault
 * verify` finds it whole up to its own end, and `stead vault restore` restores it.
 *
 * Every object is copied as the bytes that the vault has: the codes of its keys name the vault's id and the object's
 * name, which a copy shares (store/vault-keys.ts). The log of a copy is always in objects (log/store-log.ts), also if
 * the vault has segments: a record has the same bytes in both. A copy needs nothing but exclusive creation.
 *
 * The order, and why the copy is whole between any two steps:
 * - Keyrings come first: a record or object of a key is copied after the keyring that has that key.
 * - A checkpoint is copied as it was made: chunks, then the manifest that refers to them, then the record that
 *   announces it. A manifest on the copy has all its chunks. So has a record that names contents of files.
 * - The log is read in order, with its chain verified, and no further than the record that the caller names: one that
 *   is durable in the vault, so that no other can ever be at its position. Of its copies several are put at once, since
 *   one after the other would be slower than a primary writes. The copy's end is therefore the record before the first
 *   one that is missing, as readers see it anyway; what is beyond counts once the missing ones are there. An
 *   announcement is put only when everything before it is there.
 * - A copy that begins, or that the vault's retention has passed (it was away for longer than the window), begins at
 *   the newest announced checkpoint: its claim, its chunks, its manifest, and then the boundary, by which the log up to
 *   the checkpoint is no longer needed. Before the boundary the copy is what it was before, with objects beyond its
 *   end; with it, it is the new one. Only a copy that begins has no earlier state: it gets its identity at this point.
 * - Retention runs on the copy over its own log and checkpoints, with the vault's policy, after an announcement is
 *   there. Its argument (checkpoint/retention.ts) holds for any process that runs it late: it removes nothing that the
 *   announced checkpoint it started from, or any later one, refers to.
 *
 * Two may copy at once: a primary that has not noticed yet, and its successor. They cannot damage the copy, since
 * everything is put if absent and the same name always has the same bytes:
 * - A record: both read positions that are durable in the one log, and a position has one content (R2).
 * - A manifest, chunk or exclusion: both read the one object that the vault has under that name, which never changes.
 *   One that retention removed does not come back under its name: names carry the position that they were written for.
 * - Boundaries only rise; marker and identity follow from the vault's identity.
 * What the earlier one puts late below the boundary is left over, and removed by the next clean-up.
 *
 * How one would try to break it: let a host write into the copy (its identity is refused by every host, of any
 * version); let the copy lose or change an object (the next record does not follow its last one: CopyDiffersError, and
 * nothing more is put there).
 *
 * Attacked in test/vault/copy/vault-copier.test.ts: "restores what the vault restores, and is no vault for hosts",
 * "that has other records than the vault is left as it is".
 */
import type { RetentionPolicy } from "../../core/retention.ts";
import { allRules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { type CheckpointManifest, listCheckpoints, readManifest, startOf } from "../checkpoint/checkpoint-manifest.ts";
import { chunksOfFiles, readTree } from "../checkpoint/checkpoint-files.ts";
import { newestAnnounced } from "../checkpoint/newest-announced.ts";
import { collectGarbage, listChunks } from "../checkpoint/retention.ts";
import {
  CopyDiffersError,
  CorruptRecordError,
  DamagedChunkError,
  DamagedManifestError,
  LeftBehindError,
  UnknownFormatError,
} from "../errors.ts";
import { checkpointKey, exclusionPrefix, keyringPrefix } from "../keys.ts";
import { copiedBytesMax, copiedChunksMax, copiedRecordsMax, manifestBytesMax } from "../limits.ts";
import { type Log, readRecord } from "../log/log.ts";
import { chunksNamedIn } from "../log/files-section.ts";
import { LogReader, type LogStart } from "../log/log-reader.ts";
import { keyNumberOf } from "../log/record-codec.ts";
import { StoreLog } from "../log/store-log.ts";
import type { LogRecord, Position } from "../record.ts";
import { keyed } from "../store/keyed-store.ts";
import type { Store } from "../store/store.ts";
import type { VaultKeys } from "../store/vault-keys.ts";
import { beginCopy, completeCopy, type CopiedIdentity } from "./copy-place.ts";

export interface VaultCopierOptions {
  /** As it is, without keys: objects are copied as bytes. */
  readonly source: Store;
  /** Of the vault. */
  readonly log: Log;
  /** The second place, as it is. */
  readonly copy: Store;
  readonly identity: CopiedIdentity;
  readonly keys?: VaultKeys | undefined;
  readonly clock: Clock;
  readonly policy: () => RetentionPolicy;
  /** Something was left out, which the copy does without. */
  readonly onWarning: (text: string) => void;
}

/** How far a copy is. */
export interface CopyEnd {
  readonly position: Position;
  /** Wall-clock time of the record there, or of the checkpoint, milliseconds since 1970. */
  readonly wallTimeMs: number;
  /** The newest whole checkpoint. */
  readonly checkpoint: Position;
}

/** A record that was read and is not put yet. */
interface ReadRecord {
  readonly record: LogRecord;
  readonly bytes: Uint8Array;
}

/** Between two looks for later keyrings and exclusions. A keyring is also copied before the first record of its key. */
const keyringsEveryMs = 30_000;

export class VaultCopier {
  readonly #options: VaultCopierOptions;
  /** With keys. */
  readonly #source: Store;
  readonly #copy: Store;
  readonly #copyLog: StoreLog;
  /** Of the vault's log, after the copy's end; undefined: where that is must be looked up. */
  #reader: LogReader | undefined;
  #end: CopyEnd | undefined;
  /** Of keys whose keyring is on the copy. */
  readonly #keyNumbers = new Set<number>([0]);
  #keyringsDueAt = -Infinity;

  constructor(options: VaultCopierOptions) {
    const { source, copy, keys, identity } = options;
    this.#options = options;
    this.#source = keyed(source, keys);
    this.#copy = keyed(copy, keys);
    this.#copyLog = new StoreLog(this.#copy, identity.service, keys);
  }

  /** Undefined: there is no copy yet, or it was not looked for. */
  get end(): CopyEnd | undefined {
    return this.#end;
  }

  /**
   * Copies up to a position of the log, which is durable in the vault. After an error a later call continues where the
   * copy stands. Throws StoreError, CopyPlaceError, CopyDiffersError, the errors of reading the vault's log, and the
   * signal's reason.
   */
  async copyUpTo(position: Position, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        this.#reader ??= await this.#open(position, signal);
        if (this.#options.clock.now() >= this.#keyringsDueAt) await this.#copyKeyrings(signal);
        return await this.#copyRecords(this.#reader, position, signal);
      } catch (error) {
        this.#reader = undefined;
        if (!(error instanceof LeftBehindError)) throw await this.#explained(error);
      }
      signal.throwIfAborted();
      this.#reader = await this.#beginAtCheckpoint(signal);
    }
  }

  /** A record that is well by itself, and does not follow the copy's last one, shows that the copy is another's. */
  async #explained(error: unknown): Promise<unknown> {
    if (!(error instanceof CorruptRecordError)) return error;
    const record = await readRecord(this.#options.log, error.position).catch(() => undefined);
    if (record === undefined) return error;
    return new CopyDiffersError(
      this.#copy.url,
      `its record ${error.position - 1} is not the one before ${error.position}`,
    );
  }

  /** Finds where the copy ends, or begins one. */
  async #open(upTo: Position, signal: AbortSignal): Promise<LogReader | undefined> {
    const { copy, identity } = this.#options;
    const isThere = await beginCopy(copy, identity);
    await this.#copyKeyrings(signal);
    if (!isThere) return this.#beginAtCheckpoint(signal);
    const boundary = await this.#copyLog.boundary();
    const checkpoints = await listCheckpoints(this.#copy);
    let last = boundary;
    for (const position of await this.#copyLog.positions(boundary)) {
      if (position !== last + 1) break;
      last = position;
    }
    if (last > upTo) throw new CopyDiffersError(copy.url, `it ends at position ${last}, and the vault at ${upTo}`);
    const checkpoint = checkpoints.findLast((each) => each <= last) ?? 0;
    const record = last > boundary ? await readRecord(this.#copyLog, last) : undefined;
    const manifest = record === undefined ? await readManifest(this.#copy, boundary) : undefined;
    const end = { position: last, checkpoint };
    if (record !== undefined) {
      const { epoch, wallTimeMs } = record.header;
      this.#end = { ...end, wallTimeMs };
      return this.#readAfter({ position: last, hash: record.hash, epoch });
    }
    if (manifest === undefined) return this.#beginAtCheckpoint(signal);
    this.#end = { ...end, wallTimeMs: manifest.wallTimeMs };
    return this.#readAfter(startOf(manifest));
  }

  #readAfter(start: LogStart): LogReader {
    return new LogReader({ log: this.#options.log, start, rules: allRules });
  }

  /** Begins at the vault's newest checkpoint; undefined: it has none yet. */
  async #beginAtCheckpoint(signal: AbortSignal): Promise<LogReader | undefined> {
    const { copy, log, identity } = this.#options;
    const announced = await newestAnnounced(this.#source, log);
    if (announced === undefined) return undefined;
    const { manifest } = announced;
    const { position, epochPosition, wallTimeMs } = manifest;
    const claim = epochPosition === 0 ? undefined : await log.get(epochPosition);
    if (claim !== undefined) await this.#copyLog.put(epochPosition, claim);
    await this.#copyCheckpoint(manifest, signal);
    if (position > 0) await this.#copyLog.raiseBoundary(position);
    await completeCopy(copy, identity);
    this.#end = { position, wallTimeMs, checkpoint: position };
    return this.#readAfter(startOf(manifest));
  }

  async #copyRecords(reader: LogReader | undefined, upTo: Position, signal: AbortSignal): Promise<void> {
    if (reader === undefined) return;
    let read: ReadRecord[] = [];
    let bytes = 0;
    const put = async (): Promise<void> => {
      const records = read;
      [read, bytes] = [[], 0];
      await this.#putAll(records);
    };
    let copied: CheckpointManifest | undefined;
    while (reader.position < upTo) {
      signal.throwIfAborted();
      const record = await reader.next();
      if (record === undefined || reader.lastBytes === undefined) break;
      await this.#copyKeyringOf(reader.lastBytes, signal);
      await this.#copyChunks(
        chunksNamedIn(record.sections).map(({ key }) => key),
        signal,
      );
      if (record.body.kind === "checkpoint") {
        await put();
        copied = (await this.#copyAnnounced(record.body.checkpointPosition, signal)) ?? copied;
      }
      read.push({ record, bytes: reader.lastBytes });
      bytes += reader.lastBytes.length;
      if (read.length >= copiedRecordsMax || bytes >= copiedBytesMax) await put();
    }
    await put();
    if (copied !== undefined) await this.#clean(copied, signal);
  }

  /** Puts these records, which follow each other and the copy's end, at once. */
  async #putAll(records: readonly ReadRecord[]): Promise<void> {
    const outcomes = await Promise.allSettled(records.map((each) => this.#putRecord(each)));
    for (const [index, outcome] of outcomes.entries()) {
      const header = records[index]?.record.header;
      if (outcome.status === "rejected" || header === undefined) break;
      const { position, wallTimeMs } = header;
      this.#end = { position, wallTimeMs, checkpoint: this.#end?.checkpoint ?? 0 };
    }
    const failure = outcomes.find((outcome) => outcome.status === "rejected");
    if (failure !== undefined) throw failure.reason;
  }

  async #putRecord({ record, bytes }: ReadRecord): Promise<void> {
    const { position } = record.header;
    if ((await this.#copyLog.put(position, bytes)).kind === "created") return;
    const found = await this.#copyLog.get(position);
    if (found !== undefined && Buffer.compare(found, bytes) !== 0)
      throw new CopyDiffersError(this.#copy.url, this.#copyLog.nameOf(position));
  }

  /**
   * Copies a checkpoint that the log announces. One that the vault itself has lost is left out: the log after the one
   * before it restores the same.
   */
  async #copyAnnounced(position: Position, signal: AbortSignal): Promise<CheckpointManifest | undefined> {
    try {
      const manifest = await readManifest(this.#source, position);
      if (manifest === undefined) return undefined; // Retention has removed it: there is a newer one.
      await this.#copyCheckpoint(manifest, signal);
      return manifest;
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#options.onWarning(`the checkpoint at position ${position} is not copied: ${messageOf(error)}`);
      return undefined;
    }
  }

  async #copyCheckpoint(manifest: CheckpointManifest, signal: AbortSignal): Promise<void> {
    const { source, copy } = this.#options;
    const present = new Set(await listChunks(copy));
    const tree = await readTree(this.#source, manifest);
    const ofDatabases = manifest.databases.flatMap(({ chunks }) => chunks);
    const wanted = new Set([...ofDatabases, ...(await chunksOfFiles(manifest, tree))]);
    await this.#copyChunks(
      [...wanted].filter((key) => !present.has(key)),
      signal,
    );
    const key = checkpointKey(manifest.position);
    const bytes = await source.get(key, manifestBytesMax);
    if (bytes === undefined) throw new DamagedManifestError(key, manifest.position, "nothing", "a manifest");
    await copy.putIfAbsent(key, bytes);
    if (this.#end !== undefined) this.#end = { ...this.#end, checkpoint: manifest.position };
  }

  async #copyChunks(keys: readonly string[], signal: AbortSignal): Promise<void> {
    const { source, copy } = this.#options;
    const missing = keys.values();
    const work = async (): Promise<void> => {
      for (const key of missing) {
        signal.throwIfAborted();
        const bytes = await source.get(key);
        if (bytes === undefined) throw new DamagedChunkError(key, "nothing", "a chunk");
        await copy.putIfAbsent(key, bytes);
      }
    };
    await allOf(Array.from({ length: Math.min(keys.length, copiedChunksMax) }, () => work));
  }

  /** The vault had the keyring before the record. */
  async #copyKeyringOf(record: Uint8Array, signal: AbortSignal): Promise<void> {
    const number = keyNumberOf(record);
    if (this.#keyNumbers.has(number)) return;
    await this.#copyKeyrings(signal);
    this.#keyNumbers.add(number);
  }

  async #copyKeyrings(signal: AbortSignal): Promise<void> {
    const { source, copy, clock } = this.#options;
    this.#keyringsDueAt = clock.now() + keyringsEveryMs;
    for (const prefix of [keyringPrefix, exclusionPrefix]) {
      const wanted = await source.list(prefix);
      if (wanted.length === 0) continue;
      const present = new Set(await copy.list(prefix));
      for (const key of wanted.filter((each) => !present.has(each))) {
        signal.throwIfAborted();
        const bytes = await source.get(key);
        if (bytes !== undefined) await copy.putIfAbsent(key, bytes);
      }
    }
  }

  async #clean(newest: CheckpointManifest, signal: AbortSignal): Promise<void> {
    const { clock, policy } = this.#options;
    await collectGarbage({
      ...{ store: this.#copy, log: this.#copyLog, newest, logPosition: this.#end?.position ?? newest.position },
      ...{ policy: policy(), nowMs: clock.wallTime(), rules: allRules, signal },
      // The claim in force at the checkpoint is the last one up to it.
      ...(newest.epochPosition === 0 ? {} : { noEpochAfter: newest.epochPosition }),
    });
  }
}

const isDamage = (error: unknown): boolean =>
  error instanceof DamagedManifestError || error instanceof DamagedChunkError || error instanceof UnknownFormatError;

/** Waits for all, and then throws the first failure. */
async function allOf(work: readonly (() => Promise<void>)[]): Promise<void> {
  const outcomes = await Promise.allSettled(work.map((each) => each()));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure !== undefined) throw failure.reason;
}
