/** `stead vault verify --restore` over a vault in a folder, with a real database. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checksumOfPages } from "../../../src/capture/page-hashes.ts";
import { vaultVerify } from "../../../src/cli/commands/vault.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { openStore } from "../../../src/vault/store/open-store.ts";
import { runStead } from "../../support/cli/run-cli.ts";

const pageSize = 4096;
let folder = "";
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "stead-restore-test-test-"));
  mkdirSync(join(folder, "room"));
  expect(await runStead(["vault", "create", "vault", "--service", "notes"], { cwd: folder })).toMatchObject({
    code: 0,
  });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Two pages of rows and an index. */
function databaseBytes(): Buffer {
  const path = join(folder, "made.db");
  const database = new Database(path);
  database.run(`PRAGMA page_size = ${pageSize}`);
  database.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)");
  database.run("CREATE INDEX notes_by_text ON notes (text)");
  for (let id = 1; id <= 100; id++) database.run("INSERT INTO notes VALUES (?, ?)", [id, `note ${id}`.padEnd(60, ".")]);
  database.close();
  return readFileSync(path);
}

/** As a host would have written it, whatever is in the pages. */
async function checkpointOf(bytes: Buffer): Promise<void> {
  const store = await openStore(join(folder, "vault"));
  await writeCheckpoint({
    ...{ store, position: 0, hash: "0".repeat(64), epoch: 0, epochPosition: 0, wallTimeMs: 1_000 },
    databases: [
      {
        ...{ name: "notes.db", pageSize, pageCount: bytes.length / pageSize },
        checksum: checksumOfPages(pageSize, 1, bytes),
        read: (offset, length) => Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length))),
      },
    ],
  });
  await store.close();
}

const verify = (...args: string[]) =>
  runStead(["vault", "verify", "vault", "--restore", "--in", "room", ...args], { cwd: folder });

test("each stage says how far it is, the check by SQLite too", async () => {
  const bytes = databaseBytes();
  await checkpointOf(bytes);
  const told: string[] = [];
  await vaultVerify({
    ...{ url: join(folder, "vault"), restoreIn: join(folder, "room"), out: () => undefined },
    onProgress: (what, done, total, unit) => told.push(`${what}: ${done} of ${total} ${unit}`),
  });
  const total = bytes.length;
  expect(told).toEqual([
    `verifying the checkpoints: ${total} of ${total} bytes`,
    `loading the checkpoint: ${total} of ${total} bytes`,
    `checking the restored databases: 0 of ${total} bytes`,
    `checking the restored databases: ${total} of ${total} bytes`,
  ]);
});

test("a whole vault gives databases that SQLite finds whole, and nothing of them stays", async () => {
  await checkpointOf(databaseBytes());
  const { code, out } = await verify();
  expect([code, out]).toEqual([0, expect.stringContaining("notes.db: integrity_check passes")]);
  expect(out.trim().split("\n").at(-1)).toBe("verdict      whole");
  const { restore } = JSON.parse((await verify("--json")).out);
  expect(restore).toMatchObject({ kind: "restored", position: 0, databases: [{ name: "notes.db" }] });
  expect(readdirSync(join(folder, "room"))).toEqual([]);
});

test("a flipped bit of a chunk ends the restore, and a bit that was flipped before it was captured is found by SQLite alone", async () => {
  const bytes = databaseBytes();
  // The number of cells of the last page, which is of the table or of the index.
  bytes[bytes.length - pageSize + 4] = (bytes[bytes.length - pageSize + 4] ?? 0) ^ 1;
  await checkpointOf(bytes);
  expect(await runStead(["vault", "verify", "vault"], { cwd: folder })).toMatchObject({ code: 0 });
  expect(await verify()).toMatchObject({ code: 9, out: expect.stringContaining("notes.db: DAMAGED: ") });

  const [chunk = ""] = readdirSync(join(folder, "vault/chunks"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const content = readFileSync(chunk);
  content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 1;
  writeFileSync(chunk, content);
  expect(await verify()).toMatchObject({ code: 9, out: expect.stringContaining("restore      FAILED: ") });
  expect(readdirSync(join(folder, "room"))).toEqual([]);
});

test("a vault without its first checkpoint has nothing to restore, which is no damage: 4, as of restore", async () => {
  expect(await verify()).toMatchObject({ code: 4, err: expect.stringContaining("the vault is empty") });
  expect(await runStead(["vault", "verify", "vault"], { cwd: folder })).toMatchObject({ code: 0 });
  expect(readdirSync(join(folder, "room"))).toEqual([]);
});

test("--in alone would do nothing, and is refused", async () => {
  expect(await runStead(["vault", "verify", "vault", "--in", "room"], { cwd: folder })).toMatchObject({
    code: 2,
    err: expect.stringContaining("--restore"),
  });
});
