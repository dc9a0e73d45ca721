import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { hashPage, PageHashes } from "../../../src/capture/page-hashes.ts";
import { Source } from "../../../src/capture/source.ts";
import { allRules } from "../../../src/core/rules.ts";
import type { KnownPages } from "../../../src/host/ports/ports.ts";
import { DivergedCopyError, verifyHandoff } from "../../../src/host/primary/verify-handoff.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function withDatabase(): { root: string; path: string } {
  const root = mkdtempSync(join(tmpdir(), "stead-known-"));
  folders.push(root);
  const path = join(root, "a.db");
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  database.close();
  return { root, path };
}

async function knownOf(root: string): Promise<KnownPages> {
  const source = await open(root);
  const known = new Map<string, PageHashes>();
  for (const { name, pageSize, pageCount } of source.databases()) {
    const { snapshot } = await source.beginSnapshot();
    const pages = new PageHashes(pageSize);
    const database = snapshot.databases.find((one) => one.name === name);
    if (database === undefined) throw new Error(name);
    pages.resize(pageCount, () => true);
    for (let page = 1; page <= pageCount; page += 1)
      pages.set(page, hashPage(page, await database.read((page - 1) * pageSize, pageSize)));
    await snapshot.release();
    known.set(name, pages);
  }
  await source.close();
  return known;
}

const open = (root: string, known?: KnownPages): Promise<Source> =>
  Source.open({
    root,
    databases: ["*.db"],
    clock: systemClock,
    rules: allRules,
    onWarning: () => undefined,
    ...(known === undefined ? {} : { known }),
  });

async function prove(root: string, known: KnownPages): Promise<Source> {
  return verifyHandoff(await open(root, known), known);
}

describe("what capture begins with", () => {
  test("is what the replica left, when no other process wrote there meanwhile", async () => {
    const { root } = withDatabase();
    const source = await prove(root, await knownOf(root));
    expect(source.checksums().size).toBe(1);
    await source.close();
  });

  test("is refused when another process wrote there: that commit would be in no record", async () => {
    const { root, path } = withDatabase();
    const known = await knownOf(root);
    const other = new DatabaseSync(path);
    other.exec("PRAGMA user_version=7");
    other.close();
    await expect(prove(root, known)).rejects.toBeInstanceOf(DivergedCopyError);
  });

  test("is not read again, and a page that decayed on the disk enters no checkpoint all the same", async () => {
    const { root, path } = withDatabase();
    const known = await knownOf(root);
    const pageSize = known.get("a.db")?.pageSize ?? 0;
    const bytes = Buffer.from(await Bun.file(path).bytes());
    bytes.writeUInt8(bytes.readUInt8(2 * pageSize - 1) ^ 1, 2 * pageSize - 1);
    writeFileSync(path, bytes);
    const source = await prove(root, known);
    const { snapshot } = await source.beginSnapshot();
    const [database] = snapshot.databases;
    expect(await database?.read(0, pageSize)).toBeDefined();
    await expect(Promise.resolve(database?.read(0, 2 * pageSize))).rejects.toThrow(
      "page 2 with other content than was captured",
    );
    await snapshot.release();
    await source.close();
  });

  test("is refused when a database was dropped in: it would never be journaled", async () => {
    const { root, path } = withDatabase();
    const known = await knownOf(root);
    writeFileSync(join(root, "b.db"), await Bun.file(path).bytes());
    await expect(prove(root, known)).rejects.toThrow("b.db is in none of its records");
  });

  test("is refused when a database of the journal is gone", async () => {
    const { root, path } = withDatabase();
    const known = await knownOf(root);
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    await expect(prove(root, known)).rejects.toThrow("a.db is missing");
  });

  for (const databases of [1, 6])
    test(`is switched to WAL when the journal has it in rollback mode (${databases} databases), and the first batch has the page that this changes`, async () => {
      const { root } = withDatabase();
      for (let at = 1; at < databases; at++) copyFileSync(join(root, "a.db"), join(root, `b${at}.db`));
      const known = await knownOf(root);
      const path = join(root, "rollback.db");
      const database = new DatabaseSync(path);
      database.exec("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
      database.close();
      const pages = hashesOf(path);
      const source = await prove(root, new Map([...known, ["rollback.db", pages]]));
      expect(source.checksums().get("rollback.db")).toEqual(pages.checksum());
      const deltas = [];
      while (source.isAhead()) {
        const batch = await source.collect();
        for (const part of batch?.parts() ?? []) deltas.push(...part);
        batch?.done();
      }
      expect(deltas.map(({ name, pages: changed }) => [name, changed.map(({ number }) => number)])).toEqual([
        ["rollback.db", [1]],
      ]);
      const found = source.checksums().get("rollback.db");
      await source.close();
      expect(found).toEqual(hashesOf(path).checksum());
      expect(new DatabaseSync(path).prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    });
});

function hashesOf(path: string): PageHashes {
  const bytes = readFileSync(path);
  const pages = new PageHashes(4096);
  pages.resize(bytes.byteLength / 4096, () => true);
  for (let page = 1; page <= pages.pageCount; page++)
    pages.set(page, hashPage(page, bytes.subarray((page - 1) * 4096, page * 4096)));
  return pages;
}
