/**
 * Attack E3, reading: who could read the vault's folder, a copy of it or its disk, read all databases.
 *
 * Rule: in an encrypted vault records, manifests, chunks and the list of excluded databases are encrypted under their
 * own name, chunks are named by an HMAC of their content, and nothing is staged. A vault that goes over stays readable,
 * and takes nothing clear from then on. A later key needs nothing to be written again.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { giveKeys } from "../../src/cli/commands/vault-create.ts";
import { restoreFromVault, vaultRekey, vaultVerify } from "../../src/cli/commands/vault.ts";
import { openKnownKeys } from "../../src/host/machine/known-keys.ts";
import { type CheckpointManifest, readManifest, writeCheckpoint } from "../../src/vault/checkpoint/checkpoint.ts";
import { noCompression } from "../../src/vault/checkpoint/chunk-codec.ts";
import { checkpointKey, exclusionKey, keyringKey, parseChunkKey } from "../../src/vault/keys.ts";
import { chunkBytes } from "../../src/vault/limits.ts";
import type { Log } from "../../src/vault/log/log.ts";
import { logKey } from "../../src/vault/log/log-key.ts";
import { openLog } from "../../src/vault/log/open-log.ts";
import { encodeRecord, recordHeaderBytes } from "../../src/vault/log/record-codec.ts";
import { keysOfNew } from "../../src/vault/log/turn-on-keys.ts";
import { changeExclusions, readExclusions } from "../../src/vault/store/exclusions.ts";
import type { FsStore } from "../../src/vault/store/fs-store.ts";
import { type LogKind, readIdentity, type VaultIdentity } from "../../src/vault/store/identity.ts";
import { keyed } from "../../src/vault/store/keyed-store.ts";
import { readKeyring, readKeys } from "../../src/vault/store/keyring.ts";
import { createVault } from "../../src/vault/store/open-store.ts";
import type { Store } from "../../src/vault/store/store.ts";
import type { VaultKeys } from "../../src/vault/store/vault-keys.ts";
import { PageDatabase, restore } from "../support/vault/checkpoint-fixture.ts";
import { commit, failureOf, makeHost, readerOf, readToEnd, service } from "../support/vault/log-fixture.ts";
import { makeTemporaryVault, type TemporaryVault } from "../support/vault/temporary-vault.ts";

const secret = "a secret of the cluster, long enough";
const secrets = [secret];
const out = (): void => undefined;
const renew = { kind: "renew" } as const;
const vacate = { kind: "vacate", reason: "stopped", successor: undefined } as const;

let vault: TemporaryVault;
beforeEach(async () => {
  vault = await makeTemporaryVault(service);
});
afterEach(() => vault.dispose());

const path = (key: string): string => join(vault.folder, key);

interface Opened {
  readonly store: Store;
  readonly log: Log;
  readonly keys: VaultKeys | undefined;
  readonly identity: VaultIdentity;
}

async function open(store: FsStore): Promise<Opened> {
  const identity = (await readIdentity(store)) ?? expect.unreachable();
  const keys = await readKeys(store, identity, secrets);
  const authenticated = keyed(store, keys);
  return { store: authenticated, keys, identity, log: openLog(authenticated, identity, { keys }) };
}

async function encrypted(): Promise<Opened> {
  expect(await giveKeys({ url: vault.folder, secrets, encrypts: true })).toBe("encrypted");
  return open(vault.store);
}

const checkpointOf = (store: Store, position: number, databases: readonly PageDatabase[]) =>
  writeCheckpoint({
    store,
    position,
    hash: "0".repeat(64),
    epoch: 1,
    wallTimeMs: 0,
    databases,
    compression: noCompression,
  });

const chunksOf = (manifest: CheckpointManifest, name: string): readonly string[] =>
  manifest.databases.find((database) => database.name === name)?.chunks ?? [];

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  const index = at < 0 ? bytes.length + at : at;
  bytes.writeUInt8(bytes.readUInt8(index) ^ 1, index);
  writeFileSync(file, bytes);
}

/** Contents of all files below a folder. */
const filesBelow = (folder: string): Buffer[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)));

describe.each<LogKind>(["objects", "segments"])("with a log in %s", (kind) => {
  test.each([true, false])(
    "a search of the folder finds what the application stored: not if encrypted (%p)",
    async (isEncrypted) => {
      const folder = join(vault.folder, "..", "other");
      const store = await createVault(folder, service, { log: kind });
      try {
        const identity = (await readIdentity(store)) ?? expect.unreachable();
        await keysOfNew(store, identity, secrets, { encrypts: isEncrypted });
        const opened = await open(store);
        const database = new PageDatabase("customers.db", 300);
        const row = Buffer.from("4929 1234 5678 9012, Ada Lovelace");
        database.bytes.set(row, 5 * 4096 + 100);
        const writer = await makeHost("a", opened.log).lead();
        const staged = await writer.stage(database.bytes);
        await writer.append({ kind: "commit", part: 1, parts: 1, databases: [database.change(1, 3)] });
        const pages = [{ number: 6, content: database.bytes.slice(5 * 4096, 6 * 4096) }];
        const delta = { ...database.change(2, 3), pages };
        writer.prepare({ kind: "commit", part: 1, parts: 1, databases: [delta] });
        await writer.append({ kind: "commit", part: 1, parts: 1, databases: [delta] });
        await checkpointOf(opened.store, 3, [database]);
        await changeExclusions(opened.store, () => [{ name: "customers.db", host: "a", atMs: 1 }]);
        await writer.append({ ...vacate, reason: "customers.db is away" });
        await (await makeHost("b", opened.log).lead()).append(renew);

        const files = filesBelow(folder);
        const found = ["Ada Lovelace", "customers.db"].map(
          (text) => files.filter((each) => each.includes(text)).length,
        );
        if (isEncrypted) expect(found).toEqual([0, 0]);
        else expect(Math.min(...found)).toBeGreaterThanOrEqual(2);
        expect(staged === undefined).toBe(isEncrypted);
        staged?.drop();

        const records = await readToEnd(readerOf(openLog(opened.store, identity, { keys: opened.keys })));
        expect(records).toHaveLength(6);
        expect(records[2]).toMatchObject({ body: { databases: [{ pages }] } });
        const manifest = (await readManifest(opened.store, 3)) ?? expect.unreachable();
        expect(Buffer.from(await restore(opened.store, manifest, "customers.db")).equals(database.bytes)).toBe(true);
      } finally {
        await store.close();
      }
    },
  );
});

test("a record's payload belongs to its header, and a record to its position", async () => {
  const { log } = await encrypted();
  const writer = await makeHost("a", log).lead();
  for (const fill of [1, 2]) await writer.append(commit(fill));
  const [two, three] = [2, 3].map((position) => readFileSync(path(logKey(position))));
  if (two === undefined || three === undefined) return expect.unreachable();
  const spliced = Buffer.concat([three.subarray(0, recordHeaderBytes), two.subarray(recordHeaderBytes)]);
  const flipped = Buffer.from(three);
  flipped.writeUInt8(flipped.readUInt8(recordHeaderBytes + 9) ^ 1, recordHeaderBytes + 9);
  for (const bytes of [two, spliced, flipped]) {
    writeFileSync(path(logKey(3)), bytes);
    expect(await failureOf(readToEnd(readerOf(log)))).toMatchObject({ kind: "corrupt-record", position: 3 });
  }
  // Salt and tag are under the header's code.
  for (const at of [165, 180]) {
    writeFileSync(path(logKey(3)), three);
    flip(path(logKey(3)), at);
    expect(await failureOf(readToEnd(readerOf(log)))).toMatchObject({ kind: "corrupt-record", position: 3 });
  }
  writeFileSync(path(logKey(3)), three);
  expect(await readToEnd(readerOf(log))).toHaveLength(3);
});

test("chunks, manifests and exclusions that change places, or a bit, are refused and named", async () => {
  const { store } = await encrypted();
  const database = new PageDatabase("app.db", 512);
  const { manifest } = await checkpointOf(store, 1, [database]);
  const [first, second] = chunksOf(manifest, "app.db");
  if (first === undefined || second === undefined) return expect.unreachable();
  const [one, two] = [readFileSync(path(first)), readFileSync(path(second))];
  writeFileSync(path(first), two);
  writeFileSync(path(second), one);
  expect(await failureOf(restore(store, manifest, "app.db"))).toMatchObject({ kind: "damaged-chunk", key: first });
  writeFileSync(path(second), two);
  for (const at of [0, 4000, -1, -5, -10, -30]) {
    writeFileSync(path(first), one);
    flip(path(first), at);
    expect(await failureOf(restore(store, manifest, "app.db"))).toMatchObject({ kind: "damaged-chunk", key: first });
  }
  // What is proven by a hash in a vault that is not encrypted.
  writeFileSync(path(first), one);
  rmSync(path(second));
  expect(await failureOf(restore(store, manifest, "app.db"))).toMatchObject({ kind: "damaged-chunk", key: second });

  writeFileSync(path(checkpointKey(2)), readFileSync(path(checkpointKey(1))));
  expect(await failureOf(readManifest(store, 2))).toMatchObject({ kind: "damaged-manifest", position: 2 });
  await changeExclusions(store, () => [{ name: "app.db", host: "a", atMs: 1 }]);
  writeFileSync(path(exclusionKey(2)), readFileSync(path(exclusionKey(1))));
  expect(await failureOf(readExclusions(store))).toMatchObject({ kind: "strange-object", key: exclusionKey(2) });
});

test("a chunk's name does not confirm a guess of its content, and stays the same within the vault", async () => {
  const { store } = await encrypted();
  const database = new PageDatabase("app.db", 512);
  const { manifest } = await checkpointOf(store, 1, [database]);
  const names = chunksOf(manifest, "app.db").map((key) => parseChunkKey(key)?.name);
  const guess = createHash("sha256").update(database.bytes.subarray(0, chunkBytes)).digest("hex");
  expect(names).toHaveLength(2);
  expect(names).not.toContain(guess);
  database.change(1, 99);
  expect(await checkpointOf(store, 2, [database])).toMatchObject({ chunksReused: 1, chunksWritten: 1 });
});

test("with another secret nothing opens, and the error names the keyring's file; without one it says what is needed", async () => {
  await encrypted();
  const url = vault.folder;
  const wrong = await failureOf(vaultVerify({ url, out, secrets: ["another secret, also long enough"] }));
  expect(wrong).toMatchObject({ area: "vault", kind: "keyring" });
  expect(String(wrong)).toContain(keyringKey(1));
  const none = await failureOf(vaultVerify({ url, out, secrets: [] }));
  expect(none).toMatchObject({ kind: "keyring", accepted: expect.stringContaining("the cluster's secret") });
});

test("verify and restore read an encrypted vault with the secret, and verify finds a flipped bit", async () => {
  const { store, log } = await encrypted();
  const database = new PageDatabase("app.db", 3);
  await writeCheckpoint({ store, position: 0, hash: "0".repeat(64), epoch: 0, wallTimeMs: 0, databases: [database] });
  const writer = await makeHost("a", log).lead();
  await writer.append({ kind: "commit", part: 1, parts: 1, databases: [database.change(2, 77)] });
  const url = vault.folder;
  expect((await vaultVerify({ url, out, secrets })).exitCode).toBe(0);
  const folder = join(url, "..", "restored");
  const to = { moment: { kind: "newest" }, onWarning: out, service } as const;
  expect(await restoreFromVault({ ...to, url, secrets, folder })).toMatchObject({ position: 2 });
  expect(readFileSync(join(folder, "app.db")).equals(database.bytes)).toBe(true);
  flip(path(logKey(2)), recordHeaderBytes + 1);
  const { exitCode, report } = await vaultVerify({ url, out, secrets });
  expect(exitCode).toBe(9);
  expect(report.findings).toMatchObject([{ kind: "corrupt-record", key: logKey(2) }]);
});

describe("a vault in use", () => {
  const rekey = (more: { readonly encrypts?: boolean; readonly withNewKey?: boolean }) =>
    vaultRekey({ url: vault.folder, secrets, formerSecrets: [], keepsFormer: false, ...more });

  /** With a log that has stopped, and a checkpoint. */
  async function inUse(): Promise<{ readonly before: Opened; readonly database: PageDatabase }> {
    await giveKeys({ url: vault.folder, secrets });
    const before = await open(vault.store);
    const database = new PageDatabase("app.db", 300);
    const writer = await makeHost("a", before.log).lead();
    await writer.append(commit(1));
    await checkpointOf(before.store, 2, [database]);
    await changeExclusions(before.store, () => [{ name: "old.db", host: "a", atMs: 1 }]);
    expect(await failureOf(rekey({ encrypts: true }))).toMatchObject({ kind: "keyring" });
    await writer.append(vacate);
    return { before, database };
  }

  test("goes over when its primary has stopped; what was there is read, and written again at the next checkpoint", async () => {
    const { database } = await inUse();
    expect(await rekey({ encrypts: true })).toMatchObject({ isNew: false, keyNumber: 2, encrypts: true });
    const { store, log } = await open(vault.store);
    const next = await makeHost("b", log).lead();
    await next.append(commit(2));
    expect(await readToEnd(readerOf(log))).toHaveLength(5);
    const { report } = await vaultVerify({ url: vault.folder, out, secrets });
    expect(report.findings.find((finding) => finding.kind === "not-encrypted")?.message).toContain(
      "3 records and 2 chunks",
    );
    const old = (await readManifest(store, 2)) ?? expect.unreachable();
    expect(Buffer.from(await restore(store, old, "app.db")).equals(database.bytes)).toBe(true);
    expect(await readExclusions(store)).toHaveLength(1);
    expect(await checkpointOf(store, 5, [database])).toMatchObject({ chunksReused: 0, chunksWritten: 2 });
    expect(await checkpointOf(store, 6, [database])).toMatchObject({ chunksReused: 2, chunksWritten: 0 });
    // A second time it changes nothing, and there is no way back.
    expect(await rekey({ encrypts: true })).toMatchObject({ keyNumber: 2, encrypts: true });
  });

  test("takes nothing clear after that, although the former key authenticates it", async () => {
    const { before, database } = await inUse();
    await rekey({ encrypts: true });
    const { store, log } = await open(vault.store);
    const next = await makeHost("b", log).lead();
    const { record } = await next.append(commit(2));
    const header = { ...record.header, position: 6, previousHash: record.hash };
    const clear = encodeRecord(log.serviceTag, header, renew, { format: 1 }, before.keys?.forRecords);
    await before.log.put(6, clear.bytes);
    const failure = await failureOf(readToEnd(readerOf(log)));
    expect(failure).toMatchObject({ kind: "corrupt-record", position: 6 });
    expect(String(failure)).toContain("not encrypted");

    const { manifest } = await checkpointOf(before.store, 6, [database]);
    expect(await failureOf(readManifest(store, 6))).toMatchObject({ kind: "damaged-manifest", position: 6 });
    const [chunk = ""] = chunksOf(
      (await checkpointOf(before.store, 7, [new PageDatabase("app.db", 9)])).manifest,
      "app.db",
    );
    const listed = {
      ...manifest,
      databases: [{ name: "app.db", pageSize: 4096, pageCount: 9, checksum: new Uint8Array(16), chunks: [chunk] }],
    };
    expect(await failureOf(restore(store, listed, "app.db"))).toMatchObject({ kind: "damaged-chunk", key: chunk });
    await changeExclusions(before.store, () => []);
    expect(await failureOf(readExclusions(store))).toMatchObject({ kind: "strange-object", key: exclusionKey(2) });
  });

  test("is not used by a host that knew it encrypted, once its newest keyring is gone", async () => {
    await inUse();
    const stateFolder = join(vault.folder, "..", "state");
    const { identity } = await open(vault.store);
    const options = { store: vault.store, identity, secrets, stateFolder };
    expect((await openKnownKeys(options))?.isEncrypting).toBe(false);
    await rekey({ encrypts: true });
    expect((await openKnownKeys(options))?.isEncrypting).toBe(true);
    rmSync(path(keyringKey(2)));
    expect(await failureOf(openKnownKeys(options))).toMatchObject({ kind: "keyring" });
  });

  test("gets a later key without writing anything again, and hosts that run take it when they meet it", async () => {
    const running = await encrypted();
    const database = new PageDatabase("app.db", 512);
    const writer = await makeHost("a", running.log).lead();
    await writer.append(commit(1));
    await checkpointOf(running.store, 2, [database]);
    const reader = readerOf(running.log);
    await readToEnd(reader);
    expect(await rekey({ withNewKey: true })).toMatchObject({ keyNumber: 2, encrypts: true });

    await writer.append(commit(2));
    const restarted = await open(vault.store);
    expect(await readToEnd(readerOf(restarted.log))).toHaveLength(3);
    await (await makeHost("b", restarted.log).lead()).append(commit(3));
    database.change(1, 99);
    const { chunksReused, chunksWritten } = await checkpointOf(restarted.store, 5, [database]);
    expect({ chunksReused, chunksWritten }).toEqual({ chunksReused: 1, chunksWritten: 1 });
    expect([1, 2, 3, 4, 5].map((position) => readFileSync(path(logKey(position))).readUInt8(5))).toEqual([
      1, 1, 1, 2, 2,
    ]);

    expect(await readToEnd(reader)).toHaveLength(3);
    const other = await open(vault.store);
    const manifest = (await readManifest(other.store, 5)) ?? expect.unreachable();
    expect(Buffer.from(await restore(other.store, manifest, "app.db")).equals(database.bytes)).toBe(true);
  });
});

test("with a key of the vault the cluster's secret opens nothing, and a vault goes over to it while hosts run", async () => {
  const { log } = await encrypted();
  await makeHost("a", log).lead();
  const key = "a key of the vault, long enough";
  const url = vault.folder;
  const both = await vaultRekey({ url, secret, secrets: [key], formerSecrets: [secret], keepsFormer: true });
  expect(both).toMatchObject({ opensWith: 2, keyNumber: 1, encrypts: true });
  for (const one of [key, secret]) expect((await vaultVerify({ url, out, secret, secrets: [one] })).exitCode).toBe(0);
  await vaultRekey({ url, secret, secrets: [key], formerSecrets: [secret], keepsFormer: false });
  expect(await failureOf(vaultVerify({ url, out, secrets }))).toMatchObject({ kind: "keyring" });
  expect((await vaultVerify({ url, out, secret, secrets: [key, secret] })).exitCode).toBe(0);
});

test("a keyring of a later version is refused by its version", async () => {
  const { identity } = await encrypted();
  const file = path(keyringKey(1));
  const text = readFileSync(file, "utf8");
  expect(text).toContain('"version": 2');
  writeFileSync(file, text.replace('"version": 2', '"version": 3'));
  const failure = await failureOf(readKeyring(vault.store, identity, secrets));
  expect(failure).toMatchObject({ kind: "unknown-format", key: keyringKey(1) });
  expect(String(failure)).toContain("version");
  // Nor is it opened as an earlier one, whose programs would write clear records.
  writeFileSync(file, text.replace('"version": 2', '"version": 1'));
  expect(await failureOf(readKeyring(vault.store, identity, secrets))).toMatchObject({ kind: "keyring" });
});
