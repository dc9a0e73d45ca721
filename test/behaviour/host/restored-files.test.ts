/** Files beside the databases through a vault: restore, restore of a moment, verification and what is set aside. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { localDatabases } from "../../../src/capture/local-state.ts";
import { Replica } from "../../../src/capture/replica.ts";
import type { FileChange } from "../../../src/core/files/file-change.ts";
import { fileUserOf } from "../../../src/core/files/file-owner.ts";
import { fileMatcher } from "../../../src/core/files/file-pattern.ts";
import { allRules } from "../../../src/core/rules.ts";
import { LocalFiles } from "../../../src/host/secondary/files/local-files.ts";
import { ReplicaWithFiles } from "../../../src/host/secondary/files/replica-with-files.ts";
import { LocalData, type Marker } from "../../../src/host/secondary/local-data.ts";
import { pageProof } from "../../../src/host/secondary/page-proof.ts";
import { type PointInTime, restoreMoment } from "../../../src/host/secondary/point-in-time.ts";
import type { Moment } from "../../../src/host/secondary/state-at.ts";
import { FilesBeganError } from "../../../src/host/secondary/files/file-replica.ts";
import { freshMemory } from "../../../src/host/secondary/restore-room.ts";
import { restore, type Restored } from "../../../src/host/secondary/restorer.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { PieceReader } from "../../../src/vault/checkpoint/piece-reader.ts";
import { type CheckpointManifest, writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { noCompression } from "../../../src/vault/checkpoint/chunk-codec.ts";
import { putFileChunk } from "../../../src/vault/checkpoint/file-chunks.ts";
import { collectGarbage } from "../../../src/vault/checkpoint/retention.ts";
import { filesSection } from "../../../src/vault/log/files-section.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { ensureIdentity } from "../../../src/vault/store/identity.ts";
import { verifyVault } from "../../../src/vault/verify/verify.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";
import { MemoryFiles, piecesOf, putOf } from "../../support/vault/files-fixture.ts";
import { claimAs, logIn, Pages, ports, service, zeros } from "../../support/host/log-fixture.ts";

setDefaultTimeout(60_000);

/** A primary with one database and files: every change is one flush. */
class Primary {
  readonly store = new MemoryStore();
  readonly pages = new Pages("a.db");
  readonly files = new MemoryFiles();
  newest: CheckpointManifest | undefined;
  #writer: LogWriter | undefined;
  #fill = 1;

  get writer(): LogWriter {
    if (this.#writer === undefined) throw new Error("no epoch was claimed");
    return this.#writer;
  }

  bootstrap(): Promise<void> {
    return this.begin(true);
  }

  async begin(hasFiles: boolean): Promise<void> {
    await ensureIdentity(this.store, service);
    this.pages.change({ 1: this.#fill });
    await this.checkpoint(0, zeros, hasFiles);
    this.#writer = await claimAs(this.store, "b");
  }

  /** A flush with these changes, and a commit with them. */
  async flush(...changes: readonly FileChange[]): Promise<number> {
    const first = this.writer.position + 1;
    this.files.tree.apply(changes, first);
    for (const change of changes)
      if (change.kind === "put-file")
        this.files.contents.set(
          change.path,
          Buffer.concat(change.pieces.map(({ source }) => (source.kind === "inline" ? source.bytes : Buffer.alloc(0)))),
        );
    const section = filesSection({ changes, checksum: this.files.tree.checksum });
    const body = {
      kind: "commit",
      part: 1,
      parts: 1,
      databases: [this.pages.change({ 2: ++this.#fill % 200 })],
    } as const;
    await this.writer.append(body, { sections: [section] });
    return this.writer.position;
  }

  async checkpoint(
    position = this.writer.position,
    hash = this.#writer?.hash ?? zeros,
    hasFiles = true,
  ): Promise<void> {
    const epoch = this.#writer?.epoch ?? 0;
    const { manifest } = await writeCheckpoint({
      ...{ store: this.store, position, hash, epoch, epochPosition: this.#writer?.claimPosition ?? 0, wallTimeMs: 0 },
      ...{ databases: [this.pages.snapshot()], ...(hasFiles ? { files: this.files } : {}), compression: noCompression },
    });
    this.newest = manifest;
    if (position === 0) return;
    await this.writer.append({ kind: "checkpoint", checkpointPosition: position, manifestHash: manifest.manifestHash });
  }
}

let root: string;
let primary: Primary;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "stead-restored-"));
  primary = new Primary();
  await primary.bootstrap();
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const matcher = fileMatcher({ files: ["uploads/**", ".migrate"], except: [], databases: ["*.db"], reserved: [] });

const user = fileUserOf(process.geteuid?.() === 0, undefined);

/** A host's folders, which it finds again at each restart. */
class Place {
  readonly data = join(root, "data");
  readonly state = join(root, "state");
  readonly local = new LocalData(
    { dataFolder: this.data, stateFolder: this.state, setAsideFolder: join(this.state, "set-aside") },
    // The pages of these tests are no SQLite database: their checksum is told.
    { find: localDatabases(["*.db"]).find, committedChecksum: () => Promise.resolve(this.checksum) },
    undefined,
    { beside: new LocalFiles(matcher, user) },
  );
  checksum: Uint8Array | undefined;
  fetched: string[] = [];

  async restore(
    marker?: Marker,
    store: MemoryStore = primary.store,
    memory = freshMemory(),
  ): Promise<Restored<ReplicaWithFiles>> {
    await this.local.prepare();
    if (marker !== undefined) await this.local.mark(marker);
    this.fetched = [];
    return restore<ReplicaWithFiles>({
      ...{ store, log: logIn(store), clock: systemClock, rules: allRules, local: this.local },
      openTarget: async () =>
        new ReplicaWithFiles(await Replica.open({ root: this.data }), {
          ...{ root: this.data, matcher, user, previousFolder: this.local.previousFolder },
          fetch: (wanted) => {
            this.fetched.push(wanted.path);
            return new PieceReader({ store, log: logIn(store) }).read(wanted);
          },
        }),
      localChunk: () => Promise.resolve(undefined),
      onVaultFailure: () => undefined,
      onWarning: () => undefined,
      onRecord: () => undefined,
      signal: new AbortController().signal,
      memory,
    });
  }

  async restored(marker?: Marker): Promise<string | undefined> {
    const { target, setAside } = await this.restore(marker);
    await target.close();
    return setAside?.folder;
  }
}

/** All files below a folder with their contents; links as "-> target", folders with a slash. */
function contentsOf(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries
      .map((entry): [string, string] => {
        const path = join(entry.parentPath, entry.name);
        const name = path.slice(folder.length + 1);
        if (entry.isDirectory()) return [`${name}/`, ""];
        return [name, entry.isSymbolicLink() ? "->" : readFileSync(path, "utf8")];
      })
      .filter(([name]) => name !== "a.db")
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

const folderAt = (path: string): FileChange => ({
  ...{ kind: "put-folder", path, mode: 0o755 },
  ...{ uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
});

async function someFlushes(): Promise<void> {
  await primary.flush(folderAt("uploads"), putOf("uploads/a", "a1"), putOf(".migrate", "{}"));
  await primary.flush(putOf("uploads/b", "b1"));
  await primary.checkpoint();
  await primary.flush(putOf("uploads/a", "a2"), { kind: "remove", path: "uploads/b" }, putOf("uploads/c", "c1"));
}

describe("a restore", () => {
  test("brings the files to the end of the log", async () => {
    await someFlushes();
    const place = new Place();
    expect(await place.restored()).toBeUndefined();
    expect(contentsOf(place.data)).toEqual({ ".migrate": "{}", "uploads/": "", "uploads/a": "a2", "uploads/c": "c1" });
  });

  test("of a secondary takes what it has, and fetches nothing twice", async () => {
    await someFlushes();
    const place = new Place();
    await place.restored();
    await primary.checkpoint();
    expect(await place.restored()).toBeUndefined();
    expect(place.fetched).toEqual([]);
    expect(contentsOf(place.data)).toEqual({ ".migrate": "{}", "uploads/": "", "uploads/a": "a2", "uploads/c": "c1" });
    expect(existsSync(place.local.previousFolder)).toBe(false);
  });

  test("removes what a crash left half made, and sets aside what was never journaled", async () => {
    await someFlushes();
    const place = new Place();
    await place.restored();
    // An application wrote here, and nothing of it was journaled.
    writeFileSync(join(place.data, "uploads/mine"), "mine");
    writeFileSync(join(place.data, "uploads/a"), "a3");
    await place.local.mark({ kind: "primary", epoch: 1 });
    const { target } = await place.restore();
    // As a crash in the middle leaves it: moved files, a half-made copy, and what was about to be put in place.
    await target.close();
    const setAside = (await place.local.setAsides())[0] ?? "";
    expect(contentsOf(setAside)).toMatchObject({ "uploads/a": "a3", "uploads/mine": "mine" });
    mkdirSync(join(place.data, ".stead-incoming"));
    writeFileSync(join(place.data, ".stead-incoming/1"), "half");
    writeFileSync(join(place.data, "uploads/c"), "torn");
    expect(await place.restored()).toBeUndefined();
    expect(contentsOf(place.data)).toEqual({ ".migrate": "{}", "uploads/": "", "uploads/a": "a2", "uploads/c": "c1" });
  });

  test("sets aside only what a former primary had and the journal has not, once the databases differ", async () => {
    await someFlushes();
    const place = new Place();
    mkdirSync(join(place.data, "uploads"), { recursive: true });
    place.checksum = new Uint8Array(16).fill(9);
    writeFileSync(join(place.data, "a.db"), "another state");
    for (const [name, text] of [
      ["c", "c1"],
      ["a", "never acknowledged"],
      ["new", "neither"],
    ] as const)
      writeFileSync(join(place.data, "uploads", name), text);
    const setAside = await place.restored({ kind: "primary", epoch: 1 });
    const kept = contentsOf(setAside ?? "");
    expect(kept).toMatchObject({ "uploads/a": "never acknowledged", "uploads/new": "neither" });
    expect(contentsOf(place.data)["uploads/a"]).toBe("a2");
  });

  test("of a former primary whose databases and files are in the journal sets nothing aside", async () => {
    await someFlushes();
    const place = new Place();
    await place.restored();
    place.checksum = primary.pages.checksum();
    expect(await place.restored({ kind: "primary", epoch: 1 })).toBeUndefined();
    // The same databases, and one file more.
    writeFileSync(join(place.data, "uploads/more"), "more");
    const setAside = await place.restored({ kind: "primary", epoch: 1 });
    expect(contentsOf(setAside ?? "")["uploads/more"]).toBe("more");
  });

  test("of a secondary keeps a file that the journal never had, and none that it had", async () => {
    await someFlushes();
    const place = new Place();
    await place.restored();
    writeFileSync(join(place.data, "uploads/foreign"), "an operator's");
    await primary.flush({ kind: "remove", path: "uploads/c" });
    const setAside = await place.restored();
    expect(contentsOf(setAside ?? "")["uploads/foreign"]).toBe("an operator's");
    expect(contentsOf(setAside ?? "")["uploads/c"]).toBeUndefined();
    expect(existsSync(join(place.data, "uploads/foreign"))).toBe(false);
  });

  test("of a journal without files leaves those of this host where they are, until the journal has some", async () => {
    const plain = new Primary();
    await plain.begin(false);
    const place = new Place();
    mkdirSync(join(place.data, "uploads"), { recursive: true });
    writeFileSync(join(place.data, "uploads/mine"), "mine");
    const { target, setAside } = await place.restore({ kind: "primary", epoch: 1 }, plain.store);
    expect(setAside?.what).toBeUndefined();
    expect(contentsOf(place.data)["uploads/mine"]).toBe("mine");
    // A coming primary begins with them.
    expect(target.handOverFiles()).toBeUndefined();
    await target.close();
    await plain.flush(putOf("uploads/theirs", "theirs"));
    // The checkpoint before it has none: the first try finds them, and the next one moves those of this host away.
    const memory = freshMemory();
    expect(await failureOf(place.restore(undefined, plain.store, memory))).toBeInstanceOf(FilesBeganError);
    expect(contentsOf(place.data)["uploads/mine"]).toBe("mine");
    const second = await place.restore(undefined, plain.store, memory);
    await second.target.close();
    expect(contentsOf(place.data)).toMatchObject({ "uploads/theirs": "theirs" });
    expect(contentsOf(place.data)["uploads/mine"]).toBeUndefined();
    expect(second.setAside?.what).toBe("files");
    expect(contentsOf(second.setAside?.folder ?? "")["uploads/mine"]).toBe("mine");
  });

  test("does not mix its own files with those of a checkpoint that appears while it begins", async () => {
    const plain = new Primary();
    await plain.begin(false);
    const place = new Place();
    mkdirSync(join(place.data, "uploads"), { recursive: true });
    writeFileSync(join(place.data, "uploads/mine"), "mine");
    await place.local.prepare();
    const memory = freshMemory();
    // Between the look whether a checkpoint has files and its loading.
    const moveAway = place.local.moveAway.bind(place.local);
    place.local.moveAway = async (hasFiles) => {
      place.local.moveAway = moveAway;
      const marker = await moveAway(hasFiles);
      await plain.flush(putOf("uploads/theirs", "theirs"));
      await plain.checkpoint();
      return marker;
    };
    expect(await failureOf(place.restore(undefined, plain.store, memory))).toBeInstanceOf(FilesBeganError);
    expect(contentsOf(place.data)).toEqual({ "uploads/": "", "uploads/mine": "mine" });
    const { target, setAside } = await place.restore(undefined, plain.store, memory);
    await target.close();
    expect(contentsOf(place.data)).toMatchObject({ "uploads/theirs": "theirs" });
    expect(contentsOf(place.data)["uploads/mine"]).toBeUndefined();
    expect(contentsOf(setAside?.folder ?? "")["uploads/mine"]).toBe("mine");
  });

  test("moves files that stayed in place only once, also after a crash in between", async () => {
    const place = new Place();
    mkdirSync(join(place.data, "uploads"), { recursive: true });
    writeFileSync(join(place.data, "uploads/mine"), "mine");
    writeFileSync(join(place.data, "a.db"), "a database");
    await place.local.prepare();
    await place.local.mark({ kind: "secondary" });
    await place.local.moveAway(() => Promise.resolve(false));
    // The next try knows of files: those here were not moved by the one before.
    expect(await place.local.moveAway(() => Promise.resolve(true))).toEqual({ kind: "secondary" });
    expect(contentsOf(place.local.previousFolder)["uploads/mine"]).toBe("mine");
    // What is there from now on is half made.
    mkdirSync(join(place.data, "uploads"), { recursive: true });
    writeFileSync(join(place.data, "uploads/half"), "half");
    await place.local.moveAway(() => Promise.resolve(true));
    expect(existsSync(join(place.data, "uploads"))).toBe(false);
    expect(contentsOf(place.local.previousFolder)["uploads/half"]).toBeUndefined();
  });

  test("makes room by what is outdated, and keeps what it can take back and what may exist nowhere else", async () => {
    await primary.flush(putOf("uploads/same", "1234"), putOf("uploads/other", "12345"));
    const place = new Place();
    mkdirSync(join(place.data, "uploads"), { recursive: true });
    for (const [name, text] of [
      ["same", "abcd"],
      ["other", "1"],
      ["nowhere", "mine"],
    ] as const)
      writeFileSync(join(place.data, "uploads", name), text);
    await place.local.prepare();
    await place.local.moveAway(() => Promise.resolve(true));
    const { tree } = primary.files;
    expect(await place.local.room.reusableBytes({ tree })).toBe(4);
    expect((await place.local.room.shortageOf(Number.MAX_SAFE_INTEGER, tree))?.removableBytes).toBe(1);
    await place.local.room.makeRoom(tree);
    expect(Object.keys(contentsOf(place.local.previousFolder)).sort()).toEqual([
      "marker.json",
      "uploads/",
      "uploads/nowhere",
      "uploads/same",
    ]);
  });

  test("does not follow a link that lies in the data folder", async () => {
    await someFlushes();
    const place = new Place();
    const outside = join(root, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "a"), "theirs");
    mkdirSync(place.data, { recursive: true });
    symlinkSync(outside, join(place.data, "uploads"));
    await place.restored();
    expect(readdirSync(outside)).toEqual(["a"]);
    expect(readFileSync(join(outside, "a"), "utf8")).toBe("theirs");
    expect(statSync(join(place.data, "uploads")).isDirectory()).toBe(true);
  });

  test("hands the files over as the primary had them", async () => {
    await someFlushes();
    const { target } = await new Place().restore();
    target.handOver();
    expect(Buffer.compare(target.files.checksum, primary.files.tree.checksum)).toBe(0);
    await target.close();
  });
});

describe("a moment", () => {
  const at = (moment: Moment, name: string): Promise<PointInTime> =>
    restoreMoment({
      ...{ store: primary.store, log: logIn(primary.store), moment, folder: join(root, name) },
      onWarning: () => undefined,
    });

  test("has files that began after its checkpoint, beside databases that are there already", async () => {
    primary = new Primary();
    await primary.begin(false);
    await primary.flush(putOf("uploads/a", "a1"));
    await at({ kind: "newest" }, "began");
    expect(contentsOf(join(root, "began"))).toEqual({ "uploads/": "", "uploads/a": "a1" });
  });

  test("has a file below a folder that was removed with what was in it in the same flush", async () => {
    await primary.flush(folderAt("uploads"), putOf("uploads/a", "a1"), putOf("uploads/b", "b1"));
    await primary.flush({ kind: "remove", path: "uploads" }, putOf("uploads/b", "b2"));
    await at({ kind: "newest" }, "again");
    expect(contentsOf(join(root, "again"))).toEqual({ "uploads/": "", "uploads/b": "b2" });
  });

  test("has the files as they were then", async () => {
    const first = await primary.flush(putOf("uploads/a", "a1"));
    const second = await primary.flush(putOf("uploads/b", "b1"));
    await primary.checkpoint();
    await primary.flush({ kind: "remove", path: "uploads/a" });
    await at({ kind: "position", position: first }, "first");
    await at({ kind: "position", position: second }, "second");
    const newest = await at({ kind: "newest" }, "newest");
    expect(contentsOf(join(root, "first"))).toEqual({ "uploads/": "", "uploads/a": "a1" });
    expect(contentsOf(join(root, "second"))).toEqual({ "uploads/": "", "uploads/a": "a1", "uploads/b": "b1" });
    expect(contentsOf(join(root, "newest"))).toEqual({ "uploads/": "", "uploads/b": "b1" });
    expect(newest.files).toMatchObject({ count: 1, bytes: 2 });
  });

  test("before a flush that cannot be applied has the files of the last whole state", async () => {
    const whole = await primary.flush(putOf("uploads/a", "a1"));
    const section = filesSection({ changes: [putOf("uploads/b", "b1")], checksum: new Uint8Array(16).fill(1) });
    await primary.writer.append({ kind: "commit", part: 1, parts: 1, databases: [] }, { sections: [section] });
    const restored = await at({ kind: "last-whole" }, "whole");
    expect(restored.position).toBe(whole);
    expect(restored.leftOut?.reason).toContain("files");
    expect(contentsOf(join(root, "whole"))).toEqual({ "uploads/": "", "uploads/a": "a1" });
    expect(restored.files).toMatchObject({ count: 1, bytes: 2 });
  });

  test("needs chunks that only the journal names, which clean-up keeps", async () => {
    const content = new Uint8Array(300_000).fill(5);
    const keys: string[] = [];
    const position = primary.writer.position + 1;
    for (const piece of piecesOf(content))
      keys.push(await putFileChunk({ ...ports, store: primary.store, position, compression: noCompression }, piece));
    const put = putOf("uploads/large", content);
    const pieces = put.pieces.map(({ hash }, index) => ({
      hash,
      source: { kind: "chunk", key: keys[index] ?? "" } as const,
    }));
    primary.files.contents.set("uploads/large", content);
    const first = await primary.flush({ ...put, pieces });
    primary.files.contents.set("uploads/large", content);
    await primary.checkpoint();
    await primary.flush({ kind: "remove", path: "uploads/large" });
    await primary.checkpoint();
    const newest = primary.newest as CheckpointManifest;
    await collectGarbage({
      ...{ store: primary.store, log: logIn(primary.store), newest, logPosition: newest.position },
      ...{ policy: { checkpointsMin: 2, windowMs: 0 }, nowMs: 1e12, rules: allRules },
    });
    await at({ kind: "position", position: first }, "first");
    expect(readFileSync(join(root, "first/uploads/large")).equals(Buffer.from(content))).toBe(true);
  });
});

describe("verification", () => {
  const verify = () => verifyVault(primary.store, { proof: pageProof });

  test("finds nothing in a vault with files, and counts no chunk of a flush as left over", async () => {
    await someFlushes();
    const content = Buffer.from("in a chunk");
    const options = {
      ...ports,
      store: primary.store,
      position: primary.writer.position + 1,
      compression: noCompression,
    };
    const key = await putFileChunk(options, content);
    const put = putOf("uploads/d", content);
    await primary.flush({ ...put, pieces: put.pieces.map(({ hash }) => ({ hash, source: { kind: "chunk", key } })) });
    const report = await verify();
    expect(report.findings).toEqual([]);
    expect(report.leftOverChunks).toBe(0);
    primary.store.overwrite(key, Buffer.from("no chunk at all"));
    expect((await verify()).findings.map(({ kind, key: where }) => [kind, where])).toEqual([["damaged-chunk", key]]);
  });

  test("finds a flush whose files do not give their checksum", async () => {
    await someFlushes();
    const section = filesSection({ changes: [putOf("uploads/x", "x")], checksum: new Uint8Array(16).fill(1) });
    await primary.writer.append({ kind: "commit", part: 1, parts: 1, databases: [] }, { sections: [section] });
    const { findings, restorable } = await verify();
    expect(findings.map(({ kind, severity }) => [kind, severity])).toEqual([["unappliable-flush", "damage"]]);
    expect(restorable?.upTo).toBe(primary.writer.position - 1);
  });

  test("finds a checkpoint whose files differ from the journal before it", async () => {
    await primary.flush(putOf("uploads/a", "a1"));
    primary.files.put("uploads/hidden", "never journaled", 1);
    await primary.checkpoint();
    const { findings, checkpoints } = await verify();
    expect(checkpoints.at(-1)?.files?.count).toBe(primary.files.tree.size);
    expect(findings.map(({ kind }) => kind)).toEqual(["damaged-checkpoint"]);
    expect(findings[0]?.message).toContain("the files beside the databases are in another state");
  });
});
