import { afterEach, describe, expect, test } from "bun:test";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { localDatabases } from "../../../src/capture/local-state.ts";
import { UnfinishedRestoreError } from "../../../src/host/secondary/bootstrap-check.ts";
import { LocalData } from "../../../src/host/secondary/local-data.ts";
import type { LocalDatabases } from "../../../src/host/ports/ports.ts";
import type { SetAsideOptions } from "../../../src/host/secondary/set-aside-folders.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

class Crash extends Error {}

async function place(
  files: LocalDatabases = localDatabases(["*.db"]),
  bounds?: SetAsideOptions,
): Promise<{ local: LocalData; data: string; state: string; aside: string }> {
  const root = mkdtempSync(join(tmpdir(), "stead-local-"));
  folders.push(root);
  const [data, state] = [join(root, "data"), join(root, "data.stead")];
  const aside = join(state, "set-aside");
  const local = new LocalData({ dataFolder: data, stateFolder: state, setAsideFolder: aside }, files, bounds);
  await local.prepare();
  return { local, data, state, aside };
}

/** A name whose characters are bytes: not UTF-8. */
const latin = (folder: string, name: string): Buffer =>
  Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, "latin1")]);

describe("what lies on a host's disk", () => {
  test("is moved away with its companions, and the note says whose it was", async () => {
    const { local, data } = await place();
    for (const suffix of ["", "-wal", "-shm", "-journal"]) writeFileSync(join(data, `a.db${suffix}`), suffix);
    writeFileSync(join(data, "other.txt"), "mine");
    await local.mark({ kind: "primary", epoch: 3 });
    expect(await local.moveAway()).toEqual({ kind: "primary", epoch: 3 });
    expect(readdirSync(data)).toEqual(["other.txt"]);
    expect(readdirSync(local.previousFolder).sort()).toEqual([
      "a.db",
      "a.db-journal",
      "a.db-shm",
      "a.db-wal",
      "marker.json",
    ]);
  });

  test("has no owner when there is none: nothing can have diverged", async () => {
    const { local } = await place();
    expect(await local.moveAway()).toEqual({ kind: "secondary" });
  });

  test("is an operator's when there is no marker, or one that cannot be read", async () => {
    for (const marker of [undefined, "", "{", "null", '{"kind":"other"}']) {
      const { local, data, state } = await place();
      writeFileSync(join(data, "a.db"), "x");
      if (marker !== undefined) writeFileSync(join(state, "marker.json"), marker);
      expect(await local.moveAway()).toEqual({ kind: "unknown" });
    }
  });

  test("keeps its note when the host dies after each step of moving it away", async () => {
    const names = ["a.db", "b.db"].flatMap((name) => ["-journal", "-shm", "-wal", ""].map((suffix) => name + suffix));
    for (let moved = 0; moved <= names.length; moved += 1) {
      const { local, data } = await place();
      for (const name of names) writeFileSync(join(data, name), `content of ${name}`);
      await local.mark({ kind: "primary", epoch: 1 });
      mkdirSync(local.previousFolder);
      for (const name of names.slice(0, moved)) renameSync(join(data, name), join(local.previousFolder, name));
      // All files may be gone from the data folder by now; they are a primary's all the same, and may hold commits that
      // are nowhere else.
      expect(await local.moveAway()).toEqual({ kind: "primary", epoch: 1 });
      expect(readdirSync(data)).toEqual([]);
      for (const name of names)
        expect(readFileSync(join(local.previousFolder, name), "utf8")).toBe(`content of ${name}`);
    }
  });

  test("is not mixed with a half-made copy: after an interrupted restore only the copy goes", async () => {
    const { local, data } = await place();
    writeFileSync(join(data, "a.db"), "a primary's");
    await local.mark({ kind: "primary", epoch: 1 });
    await local.moveAway();
    writeFileSync(join(data, "a.db"), "half a copy");
    expect(await local.moveAway()).toEqual({ kind: "primary", epoch: 1 });
    expect(existsSync(join(data, "a.db"))).toBe(false);
    expect(readFileSync(join(local.previousFolder, "a.db"), "utf8")).toBe("a primary's");
  });

  test("may be taken over, and a half-made copy too, if it is in the journal", async () => {
    const { local, data } = await place(localDatabases(["**/*.db"]));
    writeFileSync(join(data, "a.db"), "a secondary's");
    await local.mark({ kind: "secondary" });
    await local.moveAway();
    const former = local.formerDatabase("sub/b.db");
    expect(former).toBe(join(local.previousFolder, "sub/b.db"));
    mkdirSync(join(data, "sub"));
    for (const name of ["a.db", "sub/b.db", "sub/b.db-wal"]) writeFileSync(join(data, name), "half a copy");
    expect(await local.moveAway()).toEqual({ kind: "secondary" });
    expect(readFileSync(join(local.previousFolder, "a.db"), "utf8")).toBe("a secondary's");
    expect(readFileSync(former as string, "utf8")).toBe("half a copy");
    expect(readdirSync(data, { recursive: true })).toEqual(["sub"]);
    expect(readdirSync(local.previousFolder, { recursive: true }).sort()).toEqual([
      "a.db",
      "marker.json",
      "sub",
      "sub/b.db",
    ]);
  });

  test("may not be taken over if a primary had it, until it is found in the journal", async () => {
    const { local, data } = await place();
    writeFileSync(join(data, "a.db"), "a primary's");
    await local.mark({ kind: "primary", epoch: 1 });
    expect(local.formerDatabase("a.db")).toBeUndefined();
    await local.moveAway();
    expect(local.formerDatabase("a.db")).toBeUndefined();
    writeFileSync(join(data, "b.db"), "half a copy");
    await local.moveAway();
    expect(existsSync(join(local.previousFolder, "b.db"))).toBe(false);
    await local.provePrevious();
    expect(local.formerDatabase("a.db")).toBe(join(local.previousFolder, "a.db"));
  });

  test("is not taken for a copy of the journal if that was another vault's, also when it was moved away before", async () => {
    const files = localDatabases(["*.db"]);
    for (const isMoved of [false, true]) {
      const { data, state, aside, local: old } = await place(files);
      const hostOf = (vaultId?: string): LocalData =>
        new LocalData({ dataFolder: data, stateFolder: state, setAsideFolder: aside }, files, undefined, { vaultId });
      writeFileSync(join(data, "a.db"), "acknowledged");
      await hostOf("lost").mark({ kind: "secondary" });
      if (isMoved) {
        expect(await hostOf("lost").moveAway()).toEqual({ kind: "secondary" });
        // A restore took it over, and did not end.
        renameSync(join(state, "previous/a.db"), join(data, "a.db"));
      }
      const local = hostOf("made of a copy");
      for (let tries = 0; tries < 2; tries += 1) {
        expect(await local.moveAway()).toEqual({ kind: "unknown" });
        expect(local.formerDatabase("a.db")).toBeUndefined();
        expect(readFileSync(join(local.previousFolder, "a.db"), "utf8")).toBe("acknowledged");
        writeFileSync(join(data, "b.db"), "half a copy of what the new vault has");
      }
      expect(await local.moveAway()).toEqual({ kind: "unknown" });
      expect(readdirSync(local.previousFolder).sort()).toEqual(["a.db", "marker.json"]);
      await local.provePrevious();
      expect(await local.moveAway()).toEqual({ kind: "secondary" });
      expect(local.formerDatabase("a.db")).toBeDefined();
      // Earlier versions named no vault.
      await old.provePrevious();
      expect(await local.moveAway()).toEqual({ kind: "secondary" });
    }
  });

  test("is whole before a restore and after it, and not in between", async () => {
    const { local, data } = await place();
    writeFileSync(join(data, "a.db"), "an operator's");
    await local.assertWhole();
    await local.mark({ kind: "secondary" });
    await local.moveAway();
    await expect(local.assertWhole()).rejects.toBeInstanceOf(UnfinishedRestoreError);
    renameSync(join(local.previousFolder, "a.db"), join(data, "a.db"));
    await expect(local.assertWhole()).rejects.toBeInstanceOf(UnfinishedRestoreError);
    await local.forgetPrevious();
    await local.assertWhole();
  });

  test("is no obstacle where databases have become folders", async () => {
    const { local, data } = await place(localDatabases(["tenants/*", "tenants/*/*"]));
    mkdirSync(join(data, "tenants"));
    writeFileSync(join(data, "tenants/one"), "a secondary's");
    await local.mark({ kind: "secondary" });
    await local.moveAway();
    expect(local.accessBefore("tenants/one/main")).toBeUndefined();
    expect(await local.room.reusableBytes({ databases: new Map([["tenants/one/main", 10]]) })).toBe(0);
    mkdirSync(join(data, "tenants/one"));
    writeFileSync(join(data, "tenants/one/main"), "half a copy");
    expect(await local.moveAway()).toEqual({ kind: "secondary" });
    expect(readdirSync(join(data, "tenants/one"))).toEqual([]);
    expect(readFileSync(join(local.previousFolder, "tenants/one"), "utf8")).toBe("a secondary's");
  });

  test.skipIf(process.geteuid?.() !== 0)(
    "is not moved out of a folder to which the application's user has left a link",
    async () => {
      const { local, data, state } = await place(localDatabases(["tenants/*/*.db"]));
      const other = join(dirname(data), "of-another-service");
      for (const folder of [other, join(data, "tenants")]) mkdirSync(folder);
      writeFileSync(join(other, "a.db"), "another service's");
      symlinkSync(other, join(data, "tenants/one"));
      chownSync(data, 65_534, 65_534);
      const refusal = { kind: "foreign", message: expect.stringContaining(join(data, "tenants/one")) };
      for (const isMoved of [false, true]) {
        if (isMoved) {
          mkdirSync(local.previousFolder);
          writeFileSync(join(local.previousFolder, "marker.json"), '{"kind":"secondary"}');
        }
        await local.mark({ kind: "secondary" });
        await expect(local.moveAway()).rejects.toMatchObject(refusal);
        expect(readFileSync(join(other, "a.db"), "utf8")).toBe("another service's");
      }
      expect(existsSync(join(state, "previous/tenants"))).toBe(false);
    },
  );

  test("is forgotten as a whole: what a crash leaves of it is no set of databases", async () => {
    const { local, data, state } = await place();
    writeFileSync(join(data, "a.db"), "old");
    await local.mark({ kind: "secondary" });
    await local.moveAway();
    // Where a crash in the middle of it leaves it.
    renameSync(local.previousFolder, `${local.previousFolder}.forgotten`);
    writeFileSync(join(data, "a.db"), "new");
    await local.mark({ kind: "primary", epoch: 2 });
    expect(await local.moveAway()).toEqual({ kind: "primary", epoch: 2 });
    expect(readFileSync(join(local.previousFolder, "a.db"), "utf8")).toBe("new");
    await local.forgetPrevious();
    expect(readdirSync(state).sort()).toEqual(["marker.json"]);
  });

  test("is set aside under a folder of its own each time, oldest first", async () => {
    const { local, data, aside } = await place();
    for (const [at, content] of [
      [2000, "second"],
      [1000, "first"],
    ] as const) {
      writeFileSync(join(data, "a.db"), content);
      await local.moveAway();
      const target = await local.setAsidePrevious(at);
      expect(readFileSync(join(target, "a.db"), "utf8")).toBe(content);
    }
    expect(await local.setAsides()).toEqual([
      join(aside, "1970-01-01T00-00-01.000Z"),
      join(aside, "1970-01-01T00-00-02.000Z"),
    ]);
  });

  test("makes room on a full disk without losing the note that the copy is half-made", async () => {
    const { local, data } = await place();
    writeFileSync(join(data, "a.db"), "an old copy");
    await local.mark({ kind: "secondary" });
    await local.moveAway();
    writeFileSync(join(data, "a.db"), "half a copy");
    await local.room.makeRoom(undefined);
    expect(readdirSync(local.previousFolder)).toEqual(["marker.json"]);
    expect(await local.moveAway()).toEqual({ kind: "secondary" });
    expect(readdirSync(data)).toEqual([]);
  });

  test("has no checksums when one of its files cannot be read as a database", async () => {
    const { local, data } = await place();
    writeFileSync(join(data, "a.db"), "no database at all".repeat(50));
    await local.moveAway();
    expect(await local.previousChecksums()).toBeUndefined();
  });

  test("fails to be marked when the note cannot be put in place", async () => {
    const { local, state } = await place();
    mkdirSync(join(state, "marker.json"));
    await expect(local.mark({ kind: "secondary" })).rejects.toThrow("EISDIR");
    expect(await local.marker()).toEqual({ kind: "unknown" });
  });

  test("stays where it is when looking at it fails", async () => {
    const { local, data } = await place({
      find: () => Promise.reject(new Crash("cannot list")),
      committedChecksum: () => Promise.resolve(undefined),
    });
    writeFileSync(join(data, "a.db"), "x");
    await expect(local.moveAway()).rejects.toBeInstanceOf(Crash);
    expect(readFileSync(join(data, "a.db"), "utf8")).toBe("x");
  });
});

describe("set-aside folders of a host", () => {
  const removed: string[] = [];
  const bounds: SetAsideOptions = {
    keep: 2,
    bytesMax: 1e9,
    onRemoved: (folder, why) => removed.push(`${folder}: ${why}`),
    onWarning: (text) => removed.push(text),
  };
  /** Sums that follow from the bytes: what a folder holds is told by them. */
  const contents: LocalDatabases = {
    find: (root) => Promise.resolve(existsSync(join(root, "a.db")) ? ["a.db"] : []),
    committedChecksum: (path) => Promise.resolve(new Uint8Array(Buffer.from(readFileSync(path, "utf8").padEnd(32)))),
  };

  async function setAside(local: LocalData, data: string, content: string, second: number): Promise<string> {
    writeFileSync(join(data, "a.db"), content);
    await local.mark({ kind: "primary", epoch: 1 });
    await local.moveAway();
    return local.setAsidePrevious(Date.UTC(2026, 0, 1, 0, 0, second));
  }

  test("are bounded in number when one is added, and each that goes is told with its reason", async () => {
    removed.length = 0;
    const { local, data } = await place(contents, bounds);
    const paths = [];
    for (const [index, content] of ["one", "two", "three"].entries())
      paths.push(await setAside(local, data, content, index));
    expect(await local.setAsides()).toEqual(paths.slice(1));
    expect(removed).toEqual([`${paths[0]}: there are 2 newer ones (host.set_aside_keep)`]);
    expect(readFileSync(join(paths[2] ?? "", "a.db"), "utf8")).toBe("three");
  });

  test("are bounded also when their databases have names that are not text", async () => {
    removed.length = 0;
    const { local, data } = await place(
      { ...localDatabases(["*.db"]), committedChecksum: contents.committedChecksum },
      { ...bounds, keep: 1 },
    );
    const paths = [];
    for (const [index, content] of ["one", "two"].entries()) {
      writeFileSync(latin(data, "caf\xe9.db"), content);
      paths.push(await setAside(local, data, "same", index));
    }
    expect(removed).toEqual([`${paths[0]}: there are 1 newer ones (host.set_aside_keep)`]);
    expect(readFileSync(latin(paths[1] ?? "", "caf\xe9.db"), "utf8")).toBe("two");
  });

  test("with the same databases are kept once, also when they are found at a later start", async () => {
    removed.length = 0;
    const { local, data, state, aside } = await place(contents, { ...bounds, keep: 1_000 });
    const paths = [];
    for (const [index, content] of ["same", "other", "same"].entries())
      paths.push(await setAside(local, data, content, index));
    expect(await local.setAsides()).toEqual(paths.slice(1));
    const later = new LocalData({ dataFolder: data, stateFolder: state, setAsideFolder: aside }, contents, {
      ...bounds,
      keep: 1,
    });
    await later.boundSetAsides();
    expect(await later.setAsides()).toEqual(paths.slice(2));
  });

  test("that were removed by half are no set-aside folders, and go", async () => {
    const { local, aside } = await place(contents, bounds);
    mkdirSync(join(aside, "2026-01-01.removing"), { recursive: true });
    expect(await local.setAsides()).toEqual([]);
    await local.boundSetAsides();
    expect(readdirSync(aside)).toEqual([]);
  });

  test("that cannot be removed are told, and nothing fails by them", async () => {
    removed.length = 0;
    const broken: LocalDatabases = {
      find: () => Promise.reject(new Error("EIO: i/o error")),
      committedChecksum: () => Promise.resolve(undefined),
    };
    const { local, aside } = await place(broken, bounds);
    mkdirSync(join(aside, "2026-01-01"), { recursive: true });
    await local.boundSetAsides();
    expect(removed).toEqual(["set-aside folders could not be removed: EIO: i/o error"]);
  });
});

/** Another file system than that of the temporary folder; every Linux has one. */
const otherFileSystem = "/dev/shm";
const isElsewhere = existsSync(otherFileSystem) && statSync(otherFileSystem).dev !== statSync(tmpdir()).dev;
describe.if(isElsewhere)("folders on different file systems", () => {
  test("databases are copied where a rename cannot move them, and diverged ones are set aside on a third place", async () => {
    const root = mkdtempSync(join(tmpdir(), "stead-local-"));
    const far = mkdtempSync(join(otherFileSystem, "stead-local-"));
    folders.push(root, far);
    const [data, state, aside] = [join(root, "data"), join(far, "state"), join(root, "aside")];
    const local = new LocalData(
      { dataFolder: data, stateFolder: state, setAsideFolder: aside },
      localDatabases(["**/*.db"]),
    );
    await local.prepare();
    mkdirSync(join(data, "tenants"));
    for (const suffix of ["", "-wal"]) writeFileSync(join(data, "tenants", `a.db${suffix}`), `content${suffix}`);
    mkdirSync(latin(data, "caf\xe9"));
    writeFileSync(latin(data, "caf\xe9/\xe9.db"), "content");
    await local.mark({ kind: "primary", epoch: 3 });
    expect(await local.moveAway()).toEqual({ kind: "primary", epoch: 3 });
    expect(readdirSync(join(data, "tenants"))).toEqual([]);
    expect(readdirSync(join(local.previousFolder, "tenants")).sort()).toEqual(["a.db", "a.db-wal"]);
    const kept = await local.setAsidePrevious(0);
    expect(readFileSync(join(kept, "tenants", "a.db-wal"), "utf8")).toBe("content-wal");
    expect(readFileSync(latin(kept, "caf\xe9/\xe9.db"), "utf8")).toBe("content");
    expect(await local.setAsides()).toEqual([kept]);
    expect(existsSync(local.previousFolder)).toBe(false);
  });
});
