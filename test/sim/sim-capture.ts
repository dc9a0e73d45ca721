/**
 * The simulated side of src/capture: the same ports (`CaptureSource`, `HostReplica`) over a `SimDatabase` and the files
 * beside it on the machine's disk. Like the real ones they prove the whole-database checksum, and that of the tree of
 * files, before anything is written. A batch has both as of one instant.
 */
import { lostContinuity } from "../../src/capture/capture-error.ts";
import { sameChecksum, type PageHashes } from "../../src/capture/page-hashes.ts";
import type { DatabaseChecksum } from "../../src/core/delta.ts";
import { pieceLength } from "../../src/core/files/file-entry.ts";
import { FileTree } from "../../src/core/files/file-tree.ts";
import type { Flush } from "../../src/core/flush.ts";
import { type JournaledFiles, proveFiles } from "../../src/host/secondary/files/file-replica.ts";
import { readFiles } from "../../src/host/secondary/files/replica-with-files.ts";
import type { HostReplica } from "../../src/host/secondary/secondary.ts";
import type { CaptureBatch, CaptureSnapshot, CaptureSource, FilesOfBatch } from "../../src/host/ports/ports.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import { PieceReader } from "../../src/vault/checkpoint/piece-reader.ts";
import type { Store } from "../../src/vault/store/store.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import { databaseName, SimDatabase } from "./sim-database.ts";
import { SimFiles } from "./sim-files.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

export interface CaptureOptions {
  readonly pageSize: number;
  readonly keys: number;
  /** Pages of one part of a flush: small, so that flushes of several parts are common. */
  readonly pagesPerPart: number;
  readonly diskMs: number;
  /** The service has files beside its database. */
  readonly hasFiles: boolean;
}

export interface CapturePorts {
  readonly machine: SimMachine;
  readonly process: SimProcess;
  readonly dice: SeededRandom;
  readonly options: CaptureOptions;
  readonly store: Store;
  /** A replica whose pages do not have the checksum that the primary had. */
  readonly onDiverged: (what: string) => void;
}

export class SimReplica implements HostReplica {
  readonly #ports: CapturePorts;
  #tree: FileTree | undefined;
  #isClosed = false;
  #isApplying = false;

  constructor(ports: CapturePorts) {
    this.#ports = ports;
  }

  async load(database: Parameters<HostReplica["load"]>[0]): Promise<void> {
    const { machine, process, options } = this.#ports;
    const pieces: Uint8Array[] = [];
    for await (const chunk of database.chunks) pieces.push(chunk);
    const made = new SimDatabase(options.pageSize, options.keys);
    machine.disk.database = made;
    await process.answer(options.diskMs, "load", () => made.fill(Buffer.concat(pieces), database.pageCount));
    if (!sameChecksum(made.hashes.checksum(), database.checksum)) {
      this.#ports.onDiverged("a checkpoint that does not have its checksum");
      throw new Error("checkpoint and checksum differ");
    }
  }

  async loadFiles(tree: FileTree): Promise<void> {
    const { machine, process, options, store } = this.#ports;
    const reader = new PieceReader({ store });
    const contents = new Map<string, Uint8Array>();
    for (const [path, entry] of tree.entries()) {
      const [piece] = entry.kind === "file" ? entry.pieces : [];
      if (entry.kind !== "file" || piece === undefined) throw new Error(`${path}: no file that was ever uploaded`);
      contents.set(path, await reader.read({ ...piece, length: pieceLength(entry.size, 0), path }));
    }
    await process.answer(options.diskMs, "load files", () => (machine.disk.files = new SimFiles(contents)));
    this.#tree = tree;
  }

  async apply(flush: Flush): Promise<void> {
    const { deltas } = flush;
    const { machine, process, options } = this.#ports;
    const files = readFiles(flush);
    this.#isApplying = true;
    await process.answer(options.diskMs, "apply", () => {
      this.#isApplying = false;
      if (this.#isClosed) this.#ports.onDiverged("a flush for files that are another follower's by now");
      if (files !== undefined) this.#prove(() => proveFiles((this.#tree ??= new FileTree(sha256)), files, flush.from));
      const database = (machine.disk.database ??= new SimDatabase(options.pageSize, options.keys));
      for (const delta of deltas) database.apply(delta);
      const wanted = deltas.at(-1)?.checksum;
      if (wanted !== undefined && !sameChecksum(database.hashes.checksum(), wanted)) {
        this.#ports.onDiverged("a flush that does not give the checksum of the primary");
        throw new Error("database and checksum differ");
      }
      if (files !== undefined) machine.disk.files.apply(files.changes);
    });
  }

  #prove(proof: () => void): void {
    try {
      proof();
    } catch (error) {
      this.#ports.onDiverged(`a flush whose files are not those of the primary: ${String(error)}`);
      throw error;
    }
  }

  filesChecksum(): Uint8Array | undefined {
    return this.#tree?.checksum;
  }

  handOverFiles(): JournaledFiles | undefined {
    return this.#tree === undefined ? undefined : { tree: this.#tree, foldersBesides: [], excepted: [] };
  }

  checksums(): ReadonlyMap<string, DatabaseChecksum> {
    const database = this.#ports.machine.disk.database;
    return new Map(database === undefined ? [] : [[databaseName, database.hashes.checksum()]]);
  }

  handOver(): ReadonlyMap<string, PageHashes> {
    if (this.#isApplying) this.#ports.onDiverged("the databases are handed over in the middle of a flush");
    const database = this.#ports.machine.disk.database;
    return new Map(database === undefined ? [] : [[databaseName, database.hashes]]);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#ports.process.answer(0, "close", () => undefined);
  }
}

export class SimSource implements CaptureSource {
  readonly #ports: CapturePorts;
  /** Of the journal. */
  readonly #tree: FileTree;
  #isLost = false;

  /** `known`: the files as the journal has them; undefined: it has none. */
  constructor(ports: CapturePorts, known: FileTree | undefined) {
    this.#ports = ports;
    this.#tree = known ?? new FileTree(sha256);
    if (known === undefined) ports.machine.disk.files.markAll();
  }

  /** Something else truncated the WAL: the fault that capture must notice. */
  loseContinuity(): void {
    this.#isLost = true;
  }

  isAhead(): boolean {
    if (this.#isLost) throw lostContinuity(databaseName, "another salt", "the salt that was captured");
    return this.#database?.isDirty === true || this.#ports.machine.disk.files.isDirty;
  }

  async collect(): Promise<CaptureBatch | undefined> {
    const { process, options } = this.#ports;
    // The cut is somewhere in a collection: what is committed behind it is not in its batch.
    const batch = await process.answer(options.diskMs / 2, "collect", () => this.#take());
    await process.answer(options.diskMs / 2, "collected", () => undefined);
    return batch;
  }

  tick(): Promise<void> {
    return Promise.resolve();
  }

  beginSnapshot(): Promise<{ batch: CaptureBatch | undefined; snapshot: CaptureSnapshot }> {
    const { process, options } = this.#ports;
    return process.answer(options.diskMs, "seal", () => {
      const batch = this.#take();
      const files = this.#sealFiles();
      const database = this.#database;
      if (database === undefined) return { batch, snapshot: { databases: [], release: () => Promise.resolve() } };
      const bytes = Buffer.concat(database.pages);
      const sealed = {
        name: databaseName,
        pageSize: database.pageSize,
        pageCount: database.pageCount,
        checksum: database.hashes.checksum(),
      };
      const read = (offset: number, length: number): Promise<Uint8Array> =>
        process.answer(options.diskMs, "read", () => bytes.subarray(offset, offset + length));
      return { batch, snapshot: { databases: [{ ...sealed, read }], ...files, release: () => Promise.resolve() } };
    });
  }

  /** As they are now. */
  #sealFiles(): Pick<CaptureSnapshot, "files"> {
    const { process, options, machine } = this.#ports;
    if (!options.hasFiles) return {};
    const contents = new Map(machine.disk.files.contents);
    const read = (path: string): Promise<Uint8Array> =>
      process.answer(options.diskMs, "read", () => contents.get(path) ?? new Uint8Array());
    return { files: { tree: this.#tree.copy(), read } };
  }

  close(): Promise<void> {
    return this.#ports.process.answer(0, "close", () => undefined);
  }

  get #database(): SimDatabase | undefined {
    return this.#ports.machine.disk.database;
  }

  #take(): CaptureBatch | undefined {
    const parts = this.#database?.takeDirty(this.#ports.options.pagesPerPart) ?? [];
    const files = this.#takeFiles();
    if (parts.length === 0 && files === undefined) return undefined;
    const bytes = parts.reduce((sum, part) => sum + part.pages.length * part.pageSize, 0);
    return { bytes, partCount: parts.length, parts: () => parts.map((part) => [part]), files, done: () => undefined };
  }

  #takeFiles(): FilesOfBatch | undefined {
    const changes = this.#ports.machine.disk.files.takeChanges(this.#tree);
    if (changes.length === 0) return undefined;
    this.#tree.apply(changes, 0);
    return { changes, checksum: this.#tree.checksum, done: () => undefined };
  }
}
