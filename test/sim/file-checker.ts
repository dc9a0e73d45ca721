/**
 * What must be true of the files beside the database, as the log has them: after each flush each row has its file with
 * the right content, and a file whose removal was acknowledged stays away, unless its upload is repeated. And of what a
 * host throws away: nothing that the log never had.
 */
import type { FileMatcher } from "../../src/core/files/file-pattern.ts";
import { FileTree } from "../../src/core/files/file-tree.ts";
import type { Section } from "../../src/core/flush.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import { filesOf, type FilesPart } from "../../src/vault/log/files-section.ts";
import type { RetainedPoints } from "./retained-points.ts";
import type { SimDatabase } from "./sim-database.ts";
import { matcherOf } from "./sim-files.ts";
import { contentWord, hasFile, wrongFile, wrongFileOf, wrongStanding } from "./sim-uploads.ts";

export interface FileCheckerOptions {
  /** The log's own state. */
  readonly log: SimDatabase;
  /** One request of so many has a file; 0: none has. */
  readonly every: number;
  readonly coversIncoming: boolean;
  readonly onWrong: (what: string) => void;
}

/** What flushes have had of files, so that tests know that they had it. */
export interface FileCounts {
  chunks: number;
  same: number;
  links: number;
  folders: number;
}

export class FileChecker {
  readonly #options: FileCheckerOptions;
  /** Of the log. */
  readonly #tree = new FileTree(sha256);
  readonly matcher: FileMatcher;
  readonly counts: FileCounts = { chunks: 0, same: 0, links: 0, folders: 0 };
  /** Once the vault is there. */
  points: RetainedPoints | undefined;
  #sections: Section[] = [];
  /** Files that the log has had. */
  readonly #known = new Set<string>();
  /** In pages that the flush changes, and so there after it. */
  readonly #rows = new Set<number>();
  /** Removed for a request by the application of a host: the request's id, by host and id. */
  readonly #removals = new Map<string, string>();
  /** Removed for a request that was acknowledged. */
  readonly #removed = new Set<string>();

  constructor(options: FileCheckerOptions) {
    this.#options = options;
    this.matcher = matcherOf(options.coversIncoming);
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

  /** Its parts are there, and its rows in the log's state. `position`: of its last record. */
  endFlush(position: number): void {
    const files = filesOf(this.#sections);
    this.#sections = [];
    if (files !== undefined) this.#take(files, position);
    this.#findFiles();
  }

  #take({ changes, checksum }: FilesPart, position: number): void {
    const { onWrong } = this.#options;
    this.points?.onFlush(position, this.#chunksIn(changes));
    this.#tree.apply(changes, 0);
    if (Buffer.compare(this.#tree.checksum, checksum) !== 0)
      onWrong("a flush does not give the checksum of files that it states");
    for (const { kind, path } of changes) {
      if (kind === "put-link") this.counts.links += 1;
      else if (kind === "put-folder") this.counts.folders += 1;
      const entry = this.#tree.get(path);
      if (kind === "remove" || entry === undefined) continue;
      this.#known.add(contentWord(path, entry));
      if (this.#removed.has(path)) onWrong(`${path} is there again after its acknowledged removal`);
    }
  }

  #chunksIn(changes: FilesPart["changes"]): string[] {
    const keys: string[] = [];
    for (const change of changes)
      for (const { source } of change.kind === "put-file" ? change.pieces : [])
        if (source.kind === "chunk") keys.push(source.key);
        else if (source.kind === "same") this.counts.same += 1;
    this.counts.chunks += keys.length;
    return keys;
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

  /** A host throws files away. */
  onForgotten(host: string, left: FileTree): void {
    for (const [path, entry] of left.entries())
      if (entry.kind !== "folder" && !this.#known.has(contentWord(path, entry)))
        this.#options.onWrong(`${host} threw away ${path}, which the log never had, and did not set it aside`);
  }

  async finish(): Promise<void> {
    const { log, every, onWrong } = this.#options;
    const wrong = wrongFile(log, every, this.#tree);
    if (wrong !== undefined) onWrong(`in the final state ${wrong}`);
    await this.points?.finish();
  }

  #findFiles(): void {
    const { log, every, onWrong } = this.#options;
    if (every === 0) return;
    // A removal changes no page: what registers refer to is looked for, too.
    for (let key = 0; key < log.keys; key++) this.onRow(log.register(key).value);
    const wrong = [...[...this.#rows].map((id) => wrongFileOf(id, this.#tree)), wrongStanding(log.keys, this.#tree)];
    for (const each of wrong) if (each !== undefined) onWrong(`a flush is in the log after which ${each}`);
    this.#rows.clear();
  }
}
