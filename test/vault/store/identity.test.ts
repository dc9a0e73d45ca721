import { describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureIdentity, readIdentity } from "../../../src/vault/store/identity.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { createVault, openStore } from "../../../src/vault/store/open-store.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "stead-vault-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("a vault's identity", () => {
  test("is written once and found again", async () => {
    const store = new MemoryStore();
    expect(await readIdentity(store)).toBeUndefined();
    const identity = await ensureIdentity(store, "notes");
    expect(identity).toMatchObject({ service: "notes", id: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(await ensureIdentity(store, "notes")).toEqual(identity);
    expect(await readIdentity(store)).toEqual(identity);
  });

  test("is the same for several processes that create the vault at once", async () => {
    const store = new MemoryStore();
    const identities = await Promise.all([1, 2, 3].map(() => ensureIdentity(store, "notes")));
    expect(new Set(identities.map(({ id }) => id)).size).toBe(1);
  });

  test("of another service is refused, and both are named", async () => {
    const store = new MemoryStore();
    await ensureIdentity(store, "ledger");
    expect(await failureOf(ensureIdentity(store, "notes"))).toMatchObject({
      kind: "foreign-vault",
      found: expect.stringContaining('the service "ledger"'),
      accepted: 'the vault of "notes"',
    });
  });

  test("that cannot be read is refused, with any content in its place", async () => {
    for (const content of [
      "",
      "no json",
      "[]",
      "null",
      "{}",
      '{"format":"other"}',
      '{"format":"stead-vault","version":1}',
      '{"format":"stead-vault","version":1,"service":1,"id":"","createdMs":0}',
      "\xff",
    ]) {
      const store = new MemoryStore();
      await store.putIfAbsent("identity.json", text(content));
      expect(await failureOf(ensureIdentity(store, "notes"))).toMatchObject({ kind: "not-a-vault" });
    }
  });

  test("of a later version, or with its log in a place that this one does not know, is refused by what it says", async () => {
    for (const [content, found] of [
      ['{"format":"stead-vault","version":4}', 'version "4"'],
      ['{"format":"stead-vault","version":2}', "the log"],
      ['{"format":"stead-vault","version":2,"log":"tape"}', 'the log "tape"'],
    ] as const) {
      const store = new MemoryStore();
      await store.putIfAbsent("identity.json", text(content));
      expect(await failureOf(readIdentity(store))).toMatchObject({
        kind: "unknown-format",
        found: expect.stringContaining(found),
      });
    }
  });

  test("says where the log is, for the life of the vault", async () => {
    const store = new MemoryStore();
    expect(await ensureIdentity(store, "notes", { log: "segments" })).toMatchObject({ log: "segments" });
    expect(await ensureIdentity(store, "notes")).toMatchObject({ log: "segments" });
    expect(await ensureIdentity(new MemoryStore(), "notes")).toMatchObject({ log: "objects" });
  });

  test("needs a service name of 1 to 128 bytes", async () => {
    for (const service of ["", "x".repeat(129)])
      expect(await failureOf(ensureIdentity(new MemoryStore(), service))).toBeInstanceOf(RangeError);
  });
});

describe("creating a vault", () => {
  test("makes the folder; doing it again opens it; another service is refused", () =>
    inFolder(async (parent) => {
      const folder = join(parent, "vault");
      await (await createVault(folder, "notes")).close();
      const again = await createVault(`file://${folder}`, "notes");
      const opened = await openStore(folder);
      expect(await readIdentity(opened)).toEqual(await readIdentity(again));
      await again.close();
      await opened.close();
      expect(await failureOf(createVault(folder, "ledger"))).toMatchObject({ kind: "foreign-vault" });
    }));

  test("works in an existing empty folder; in one with other files, or without a parent, it is refused and nothing is created", () =>
    inFolder(async (parent) => {
      const [empty, used] = [join(parent, "empty"), join(parent, "used")];
      await mkdir(empty);
      await mkdir(used);
      await writeFile(join(used, "thesis.txt"), "x");
      await (await createVault(empty, "notes")).close();
      expect(await failureOf(createVault(used, "notes"))).toMatchObject({
        kind: "unsuitable",
        message: expect.stringContaining("thesis.txt"),
      });
      expect(await readdir(used)).toEqual(["thesis.txt"]);
      expect(await failureOf(createVault(join(parent, "a/b"), "notes"))).toMatchObject({
        kind: "unsuitable",
        message: expect.stringContaining("parent"),
      });
      expect((await readdir(parent)).sort()).toEqual(["empty", "used"]);
    }));

  test("where nothing can be written is refused with what to do", () =>
    inFolder(async (parent) => {
      await writeFile(join(parent, "file"), "x");
      const failure = (await failureOf(createVault(join(parent, "file"), "notes"))) as Error & { advice: string };
      expect(failure).toMatchObject({ kind: "not-a-vault" });
      expect(failure.advice.length).toBeGreaterThan(10);
    }));
});
