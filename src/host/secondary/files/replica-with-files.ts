/**
 * What a secondary has: its databases, and the files beside them, each flush applied to both or to neither.
 *
 * The files of a flush are proven and made first, under temporary names. Then the databases are proven and written, and
 * then the files are put in place. Whatever fails ends the follower, so nothing is applied on top of a half-applied
 * flush, and a restart starts from what is proven.
 */
import type { LoadedDatabase } from "../../../capture/page-tables.ts";
import type { PageHashes } from "../../../capture/page-hashes.ts";
import type { Replica } from "../../../capture/replica.ts";
import { ReplicaError } from "../../../capture/replica-error.ts";
import type { DatabaseChecksum } from "../../../core/delta.ts";
import type { FileTree } from "../../../core/files/file-tree.ts";
import type { Flush } from "../../../core/flush.ts";
import { MalformedBytes } from "../../../vault/log/bytes.ts";
import { filesOf } from "../../../vault/log/files-section.ts";
import { FileReplica, type FileReplicaOptions, type FilesOfFlush, type JournaledFiles } from "./file-replica.ts";

/** Files that are looked at while there is nothing to apply. */
const looksAtOnce = 100;

export interface FilesState {
  /** Files, links and folders. */
  readonly count: number;
  readonly bytes: number;
  readonly checksum: Uint8Array;
}

const stateOf = ({ size: count, bytes, checksum }: FileTree): FilesState => ({ count, bytes, checksum });

/** What it needs of the databases. */
export type ReplicaOfDatabases = Pick<
  Replica,
  "spool" | "load" | "apply" | "checksums" | "handOver" | "sync" | "close"
>;

export class ReplicaWithFiles {
  readonly #databases: ReplicaOfDatabases;
  readonly #files: FileReplica;
  /** As of the last whole flush: a flush that is refused has changed the tree, and nothing else. */
  #state: FilesState | undefined;

  constructor(databases: ReplicaOfDatabases, files: FileReplicaOptions) {
    this.#databases = databases;
    this.#files = new FileReplica(files);
  }

  get spool(): Replica["spool"] {
    return this.#databases.spool;
  }

  /** All files of the service as of the last flush. */
  get files(): FileTree {
    return this.#files.tree;
  }

  load(database: LoadedDatabase): Promise<void> {
    return this.#databases.load(database);
  }

  async loadFiles(tree: FileTree, onBytes: (bytes: number) => void, signal?: AbortSignal): Promise<void> {
    await this.#files.load(tree, onBytes, signal);
    this.#state = stateOf(tree);
  }

  async apply(flush: Flush): Promise<void> {
    const files = readFiles(flush);
    if (files !== undefined) await this.#files.prepare(files, flush.from);
    await this.#databases.apply(flush);
    if (files === undefined) return;
    await this.#files.commit();
    this.#state = stateOf(this.#files.tree);
  }

  checksums(): Map<string, DatabaseChecksum> {
    return this.#databases.checksums();
  }

  /** Of the files as of the last whole flush; undefined: the service has none. */
  filesChecksum(): Uint8Array | undefined {
    return this.#state?.checksum;
  }

  filesState(): FilesState | undefined {
    return this.#state;
  }

  /** Files of the journal that this host's configuration leaves out. */
  get unlistedFiles(): ReadonlySet<string> {
    return this.#files.unlisted;
  }

  /** True if the journal has a file of this path, or had it since the checkpoint. */
  knowsFile(path: string): boolean {
    return this.#files.knows(path);
  }

  restored(): void {
    this.#files.restored();
  }

  /** Looks whether some of the files are as they were left. Throws ReplicaError. */
  look(): void {
    this.#files.look(looksAtOnce);
  }

  handOver(): ReadonlyMap<string, PageHashes> {
    return this.#databases.handOver();
  }

  /** Undefined: the journal has no files. Throws ReplicaError. */
  handOverFiles(): JournaledFiles | undefined {
    return this.#files.handOver();
  }

  sync(): Promise<void> {
    return this.#databases.sync();
  }

  async close(): Promise<void> {
    await this.#databases.close();
    this.#files.close();
  }
}

/** Returns what a flush says about files. Throws ReplicaError. */
export function readFiles({ sections }: Flush): FilesOfFlush | undefined {
  try {
    return filesOf(sections);
  } catch (error) {
    if (error instanceof MalformedBytes) throw new ReplicaError("files", error.found, error.expected);
    throw error;
  }
}
