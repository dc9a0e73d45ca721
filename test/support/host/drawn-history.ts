/** A log whose flushes change databases and files in every way that there is, drawn by a seed, with each state. */
import type { SeededRandom } from "../../../harness/seeded-random.ts";
import { checksumOfPages } from "../../../src/capture/page-hashes.ts";
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import type { FileChange } from "../../../src/core/files/file-change.ts";
import type { FileTree } from "../../../src/core/files/file-tree.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { noCompression } from "../../../src/vault/checkpoint/chunk-codec.ts";
import { filesSection } from "../../../src/vault/log/files-section.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import { MemoryFiles, putOf } from "../vault/files-fixture.ts";
import { claimAs, zeros } from "./log-fixture.ts";

interface Database {
  readonly pageSize: number;
  readonly pages: readonly Uint8Array[];
}

/** Checksums of all databases, and of the files. */
export type State = Readonly<Record<string, string>>;

const names = ["a.db", "b.db", "sub/c.db"];
const paths = ["f/a", "f/b", "g", "g/x", "g/y", "h"];

export class DrawnHistory {
  readonly store: Store;
  readonly #dice: SeededRandom;
  readonly #databases = new Map<string, Database>();
  readonly #files = new MemoryFiles();
  #writer: LogWriter | undefined;
  /** The state after the record at each position that has one. */
  readonly states = new Map<number, State>();

  constructor(store: Store, dice: SeededRandom) {
    this.store = store;
    this.#dice = dice;
  }

  get writer(): LogWriter {
    if (this.#writer === undefined) throw new Error("no epoch was claimed");
    return this.#writer;
  }

  async begin(): Promise<void> {
    this.#databases.set("a.db", { pageSize: 512, pages: [new Uint8Array(512).fill(1)] });
    await this.#checkpoint(0, zeros);
    await this.claim("b");
  }

  async claim(host: string): Promise<void> {
    this.#writer = await claimAs(this.store, host);
    this.states.set(this.#writer.position, this.state());
  }

  state(): State {
    const sums = [...this.#databases].map(([name, database]) => [name, hex(sumOf(database))] as const);
    return Object.fromEntries([...sums, ["/files", hex(this.#files.tree.checksum)]].toSorted());
  }

  /** One flush; now and then a checkpoint, a renewal, or a claim after it. */
  async flush(): Promise<void> {
    const dice = this.#dice;
    const deltas = dice
      .shuffled(names)
      .slice(0, dice.int(0, 2))
      .flatMap((name) => this.#change(name));
    const changes = dice.chance(0.5) ? this.#changeFiles() : [];
    const section = filesSection({ changes, checksum: this.#files.tree.checksum });
    const sections = changes.length > 0 ? [section] : [];
    await this.writer.append({ kind: "commit", part: 1, parts: 1, databases: deltas }, { sections });
    this.states.set(this.writer.position, this.state());
    if (dice.chance(0.1)) await this.writer.append({ kind: "renew" });
    if (dice.chance(0.1)) await this.#checkpoint(this.writer.position, this.writer.hash);
    if (dice.chance(0.1)) await this.claim("b");
    this.states.set(this.writer.position, this.state());
  }

  /** The state is that of an earlier position again. */
  becomes(
    position: number,
    contents: { readonly databases: ReadonlyMap<string, Database>; readonly tree: FileTree },
  ): void {
    this.#databases.clear();
    for (const [name, { pageSize, pages }] of contents.databases)
      this.#databases.set(name, { pageSize, pages: [...pages] });
    this.#files.tree.apply(
      [...this.#files.tree.paths()].map((path) => ({ kind: "remove", path })),
      0,
    );
    for (const [path, entry] of contents.tree.entries()) this.#files.tree.add(path, entry);
    this.states.set(position, this.state());
  }

  contents(): { readonly databases: ReadonlyMap<string, Database>; readonly tree: FileTree } {
    const databases = [...this.#databases].map(
      ([name, { pageSize, pages }]) => [name, { pageSize, pages: [...pages] }] as const,
    );
    return { databases: new Map(databases), tree: this.#files.tree.copy() };
  }

  #change(name: string): DatabaseDelta[] {
    const dice = this.#dice;
    const before = this.#databases.get(name);
    if (before !== undefined && dice.chance(0.15)) {
      this.#databases.delete(name);
      const removal = removalOf(name, before.pageSize);
      return dice.chance(0.5) ? [removal] : [removal, this.#write(name, { pageSize: 1024, pages: [] }, dice.int(1, 6))];
    }
    const database = before ?? { pageSize: dice.pick([512, 1024]), pages: [] };
    return [this.#write(name, database, dice.int(1, 8))];
  }

  #write(name: string, { pageSize, pages: before }: Database, pageCount: number): DatabaseDelta {
    const dice = this.#dice;
    // Pages that are added and not written are zeros.
    const pages = Array.from({ length: pageCount }, (_, at) => before[at] ?? new Uint8Array(pageSize));
    const written = pages.flatMap((_, at) => (at === 0 || dice.chance(0.4) ? [at] : []));
    for (const at of written) pages[at] = new Uint8Array(pageSize).fill(dice.int(1, 5));
    const database = { pageSize, pages };
    this.#databases.set(name, database);
    const changed = written.map((at) => ({ number: at + 1, content: pages[at] ?? new Uint8Array(pageSize) }));
    return { name, pageSize, pageCount, checksum: sumOf(database), pages: changed };
  }

  #changeFiles(): FileChange[] {
    const dice = this.#dice;
    const path = dice.pick(paths);
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const size = dice.pick([0, 10, 300_000, 600_000]);
    const change: FileChange = dice.pick<FileChange>([
      putOf(path, new Uint8Array(size).fill(dice.int(1, 3))),
      { kind: "put-link", path, target: `to-${dice.int(1, 3)}` },
      { kind: "put-folder", path, mode: dice.pick([0o755, 0o700]), ...owner },
      { kind: "remove", path },
    ]);
    // Capture tells no removal of what is not there.
    if (change.kind === "remove" && this.#files.tree.get(path) === undefined) return [];
    const folder = path.includes("/") ? (path.split("/")[0] ?? "") : "";
    const before = this.#files.tree.get(folder);
    const changes: FileChange[] =
      folder !== "" && change.kind !== "remove" && before !== undefined && before.kind !== "folder"
        ? [{ kind: "put-folder", path: folder, mode: 0o755, ...owner }, change]
        : [change];
    this.#files.tree.apply(changes, this.writer.position + 1);
    return changes;
  }

  async #checkpoint(position: number, hash: string): Promise<void> {
    const writer = this.#writer;
    // Its files are those of the log: the contents are there already.
    if (position > 0 && this.#files.tree.size > 0) return;
    const { manifest } = await writeCheckpoint({
      ...{ store: this.store, position, hash, epoch: writer?.epoch ?? 0, epochPosition: writer?.claimPosition ?? 0 },
      ...{ wallTimeMs: 0, compression: noCompression },
      databases: [...this.#databases].map(([name, database]) => {
        const bytes = Buffer.concat(database.pages);
        const read = (offset: number, length: number) =>
          Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length)));
        const { pageSize, pages } = database;
        return { name, pageSize, pageCount: pages.length, checksum: sumOf(database), read };
      }),
    });
    if (position > 0)
      await this.writer.append({
        kind: "checkpoint",
        checkpointPosition: position,
        manifestHash: manifest.manifestHash,
      });
  }
}

const removalOf = (name: string, pageSize: number): DatabaseDelta => ({
  ...{ name, pageSize, pageCount: 0, pages: [] },
  checksum: new Uint8Array(16),
});

const sumOf = ({ pageSize, pages }: Database): Uint8Array => checksumOfPages(pageSize, 1, Buffer.concat(pages));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
