/**
 * Attack E1, who can write into the shared folder: a pipe in place of a record hung hosts for good, a file that was
 * truncated up made each host allocate gigabytes, links led elsewhere, and an entry of a segment could name any length
 * and any object.
 *
 * Rule: an object is a regular file, links below the vault's folder are not followed, nothing is waited for, and sizes
 * are compared with their limits before anything is allocated. What is refused is damage, by the name that it has.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, renameSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { readManifest } from "../../src/vault/checkpoint/checkpoint.ts";
import { chunkKey } from "../../src/vault/keys.ts";
import { logKey } from "../../src/vault/log/log-key.ts";
import { encodeSeal } from "../../src/vault/log/segment/seal.ts";
import { encodeEntry, tagOf } from "../../src/vault/log/segment/segment-entry.ts";
import { claimKey, sealKey, segmentKey } from "../../src/vault/log/segment/segment-key.ts";
import { SegmentLog } from "../../src/vault/log/segment/segment-log.ts";
import { openStore } from "../../src/vault/store/open-store.ts";
import { readIdentity } from "../../src/vault/store/identity.ts";
import { commit, failureOf, logIn, makeHost, readerOf, service } from "../support/vault/log-fixture.ts";
import { makeTemporaryVault, type TemporaryVault } from "../support/vault/temporary-vault.ts";

let vault: TemporaryVault;
beforeEach(async () => {
  vault = await makeTemporaryVault(service);
});
afterEach(() => vault.dispose());

const gigabytes = 3 * 1024 ** 3;

function path(key: string): string {
  const target = join(vault.folder, key);
  mkdirSync(dirname(target), { recursive: true });
  return target;
}

const put: Readonly<Record<string, (key: string) => void>> = {
  "a pipe": (key) => void Bun.spawnSync(["mkfifo", path(key)]),
  "a link": (key) => {
    writeFileSync(join(vault.folder, "..", "elsewhere"), "not of the vault");
    symlinkSync(join(vault.folder, "..", "elsewhere"), path(key));
  },
  "a folder": (key) => mkdirSync(path(key)),
  "a file of gigabytes": (key) => {
    writeFileSync(path(key), "");
    truncateSync(path(key), gigabytes);
  },
};

const chunk = chunkKey(0, "0".repeat(64));
for (const [what, place] of Object.entries(put)) {
  test(`${what} in place of a record is damage at its position`, async () => {
    place(logKey(1));
    expect(await failureOf(readerOf(vault.store).next())).toMatchObject({ kind: "corrupt-record", position: 1 });
  });

  test(`${what} in place of a manifest, a chunk or the identity is refused by its name`, async () => {
    place("checkpoints/0000000000000007");
    expect(await failureOf(readManifest(vault.store, 7))).toMatchObject({ kind: "damaged-manifest", position: 7 });
    place(chunk);
    expect(await failureOf(vault.store.get(chunk, 2 * 1024 ** 2))).toMatchObject({
      kind: "strange-object",
      key: chunk,
    });
    renameSync(path("identity.json"), join(vault.folder, "..", "identity"));
    place("identity.json");
    expect(await failureOf(readIdentity(vault.store))).toMatchObject({ kind: "strange-object", key: "identity.json" });
  });

  test(`${what} in place of the next record fails a put, which waits for nothing`, async () => {
    const { lead } = makeHost("a", vault.store);
    const writer = await lead();
    place(logKey(2));
    expect(await failureOf(writer.append(commit(1)))).toMatchObject({ kind: "corrupt-record", position: 2 });
  });

  test(`${what} in place of a segment or a mark is refused by its name`, async () => {
    const segment = segmentKey({ term: 1, first: 1, attempt: 0 });
    place(segment);
    expect(await failureOf(vault.store.files?.read(segment, 0, 32) ?? expect.unreachable())).toMatchObject({
      kind: "strange-object",
      key: segment,
    });
    place("marks/0000000000000001");
    expect(
      await failureOf(vault.store.files?.readMark("marks/0000000000000001") ?? expect.unreachable()),
    ).toMatchObject({ kind: "strange-object" });
  });

  test(`${what} in place of a claim is the claim of another for a writer that looks`, async () => {
    place(claimKey(2));
    expect(await vault.store.files?.exists(claimKey(2))).toBe(true);
  });
}

test("a vault with a link in place of one of its folders is not opened; one that is reached through a link is", async () => {
  const way = join(vault.folder, "..", "way");
  symlinkSync(vault.folder, way);
  await (await openStore(way)).close();
  renameSync(join(vault.folder, "log"), join(vault.folder, "..", "log"));
  symlinkSync(join(vault.folder, "..", "log"), join(vault.folder, "log"));
  expect(await failureOf(openStore(vault.folder))).toMatchObject({ area: "vault", kind: "unsuitable" });
});

/** A log in segments of one term, with an entry that another writer put there in the name of its owner. */
async function forged(entry: Uint8Array): Promise<SegmentLog> {
  const { store } = vault;
  const { files } = store;
  if (files === undefined) return expect.unreachable();
  const claim = new Uint8Array(16).fill(7);
  await store.putIfAbsent(claimKey(1), claim);
  const epoch = new Uint8Array(300);
  await store.putIfAbsent(sealKey(1), encodeSeal({ before: { term: 0, end: 0 }, last: undefined, epoch }));
  const key = segmentKey({ term: 1, first: 2, attempt: 0 });
  await store.putIfAbsent(key, entry);
  await files.mark("marks/0000000000000001", 2);
  return new SegmentLog({ store, files, service });
}
const tag = tagOf(new Uint8Array(16).fill(7));

test("an entry of a segment that claims gigabytes is no entry", async () => {
  const entry = Buffer.from(encodeEntry("record", 2, new Uint8Array(100), tag));
  entry.writeUInt32LE(0xffff_ffff, 8);
  entry.writeUInt32LE(crc32(entry.subarray(0, 28)), 28);
  const log = await forged(entry);
  expect(await log.get(2)).toBeUndefined();
});

test("an entry of a segment names the object of its own position, and nothing else is read", async () => {
  for (const name of ["../../etc/passwd", "identity.json", "large/0000000000000001.0000000000000009"]) {
    await vault.dispose();
    vault = await makeTemporaryVault(service);
    await vault.store.putIfAbsent("large/0000000000000001.0000000000000009", Buffer.from("of another position"));
    const log = await forged(encodeEntry("object", 2, Buffer.from(name), tag));
    expect(Buffer.from((await log.get(2)) ?? []).toString()).toBe(name);
  }
});

test("seals that follow each other in a ring are damage", async () => {
  const { store } = vault;
  for (const term of [1, 2]) {
    await store.putIfAbsent(claimKey(term), new Uint8Array(16).fill(term));
    const before = { term: 3 - term, end: 1 };
    await store.putIfAbsent(sealKey(term), encodeSeal({ before, last: undefined, epoch: new Uint8Array(300) }));
    await store.files?.mark(`marks/000000000000000${term}`, 2);
  }
  const { files } = store;
  if (files === undefined) return expect.unreachable();
  expect(await failureOf(new SegmentLog({ store, files, service }).get(1))).toMatchObject({ kind: "corrupt-record" });
  expect(await logIn(store).boundary()).toBe(0);
});
