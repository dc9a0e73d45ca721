/**
 * What must be true of the files beside the database, as the log has them: after each flush each row has its file with
 * the right content, and a file whose removal was acknowledged stays away, unless its upload is repeated.
 */
import { FileTree } from "../../src/core/files/file-tree.ts";
import type { Section } from "../../src/core/flush.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import { filesOf } from "../../src/vault/log/files-section.ts";
import type { SimDatabase } from "./sim-database.ts";
import { hashIn, hasFile, wrongFile, wrongFileOf } from "./sim-files.ts";

export interface FileCheckerOptions {
  /** The log's own state. */
  readonly log: SimDatabase;
  /** One request of so many has a file; 0: none has. */
  readonly every: number;
  readonly onWrong: (what: string) => void;
}

export class FileChecker {
  readonly #options: FileCheckerOptions;
  /** Of the log. */
  readonly #tree = new FileTree(sha256);
  readonly #hashIn = hashIn(this.#tree);
  #sections: Section[] = [];
  /** In pages that the flush changes, and so there after it. */
  readonly #rows = new Set<number>();
  /** Removed for a request by the application of a host. */
  readonly #removals = new Map<string, string>();
  /** Removed for a request that was acknowledged. */
  readonly #removed = new Set<string>();

  constructor(options: FileCheckerOptions) {
    this.#options = options;
  }

  get checksum(): Uint8Array {
    return this.#tree.checksum;
  }

  beginFlush(): void {
    this.#sections = [];
  }

  addPart(sections: readonly Section[]): void {
    this.#sections.push(...sections);
  }

  onRow(id: number): void {
    if (hasFile(id, this.#options.every)) this.#rows.add(id);
  }

  /** Its parts are there, and its rows in the log's state. */
  endFlush(): void {
    const { onWrong } = this.#options;
    const files = filesOf(this.#sections);
    this.#sections = [];
    if (files !== undefined) {
      this.#tree.apply(files.changes, 0);
      if (Buffer.compare(this.#tree.checksum, files.checksum) !== 0)
        onWrong("a flush does not give the checksum of files that it states");
      for (const { kind, path } of files.changes)
        if (kind !== "remove" && this.#removed.has(path))
          onWrong(`${path} is there again after its acknowledged removal`);
    }
    this.#findFiles();
  }

  onExecuted(host: string, id: number): void {
    this.#removals.delete(`${host} ${id}`);
  }

  onUploaded(path: string): void {
    this.#removed.delete(path);
    for (const [request, removed] of this.#removals) if (removed === path) this.#removals.delete(request);
  }

  onRemoved(host: string, id: number, path: string): void {
    this.#removals.set(`${host} ${id}`, path);
  }

  onReleased(host: string, id: number): void {
    const path = this.#removals.get(`${host} ${id}`);
    if (path === undefined) return;
    this.#removals.delete(`${host} ${id}`);
    this.#removed.add(path);
    if (this.#tree.get(path) !== undefined)
      this.#options.onWrong(`${host} acknowledged request ${id}, and the removal of ${path} is not in the log`);
  }

  finish(): void {
    const { log, every, onWrong } = this.#options;
    const wrong = wrongFile(log, every, this.#hashIn);
    if (wrong !== undefined) onWrong(`in the final state ${wrong}`);
  }

  #findFiles(): void {
    const { log, every, onWrong } = this.#options;
    if (every === 0) return;
    // A removal changes no page: what registers refer to is looked for, too.
    for (let key = 0; key < log.keys; key++) this.onRow(log.register(key).value);
    for (const id of this.#rows) {
      const wrong = wrongFileOf(id, this.#hashIn);
      if (wrong !== undefined) onWrong(`a flush is in the log after which ${wrong}`);
    }
    this.#rows.clear();
  }
}
