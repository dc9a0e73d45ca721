/**
 * Attack E1, forgery: who could write into the shared folder could write records, manifests, claims and the list of
 * excluded databases, and hosts believed them.
 *
 * Rule: a vault has keys, which only the cluster's secret opens. Records carry a MAC in place of a hash, so the chain
 * is keyed; manifests, exclusions, claims and seals have one each, and manifests the hashes of chunks. What has none is
 * refused, except what was there before the vault got its keys. A host that has used a vault with keys uses none
 * without.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { restoreFromVault, vaultRekey, vaultVerify } from "../../src/cli/commands/vault.ts";
import { giveKeys } from "../../src/cli/commands/vault-create.ts";
import { openKnownKeys } from "../../src/host/machine/known-keys.ts";
import { readManifest, writeCheckpoint } from "../../src/vault/checkpoint/checkpoint.ts";
import { encodeManifest } from "../../src/vault/checkpoint/checkpoint-manifest.ts";
import { checkpointKey, exclusionKey, keyringKey } from "../../src/vault/keys.ts";
import type { Log } from "../../src/vault/log/log.ts";
import { logKey } from "../../src/vault/log/log-key.ts";
import { openLog } from "../../src/vault/log/open-log.ts";
import { encodeRecord } from "../../src/vault/log/record-codec.ts";
import { claimKey, sealKey } from "../../src/vault/log/segment/segment-key.ts";
import { keysOfNew, turnOnKeys } from "../../src/vault/log/turn-on-keys.ts";
import { changeExclusions, readExclusions } from "../../src/vault/store/exclusions.ts";
import { type LogKind, readIdentity, type VaultIdentity } from "../../src/vault/store/identity.ts";
import { keyed } from "../../src/vault/store/keyed-store.ts";
import { keysOf, readKeyring, readKeys, sealAgain } from "../../src/vault/store/keyring.ts";
import { createVault } from "../../src/vault/store/open-store.ts";
import type { Store } from "../../src/vault/store/store.ts";
import { VaultKeys } from "../../src/vault/store/vault-keys.ts";
import { PageDatabase } from "../support/vault/checkpoint-fixture.ts";
import { commit, failureOf, makeHost, readerOf, readToEnd, service } from "../support/vault/log-fixture.ts";
import { makeTemporaryVault, type TemporaryVault } from "../support/vault/temporary-vault.ts";

const secret = "a secret of the cluster, long enough";
const other = "another secret, also long enough";

let vault: TemporaryVault;
beforeEach(async () => {
  vault = await makeTemporaryVault(service);
});
afterEach(() => vault.dispose());

interface Keyed {
  readonly store: Store;
  readonly log: Log;
  readonly keys: VaultKeys;
  readonly identity: VaultIdentity;
}

async function identityOf(store: Store): Promise<VaultIdentity> {
  return (await readIdentity(store)) ?? expect.unreachable();
}

async function withKeys(): Promise<Keyed> {
  const identity = await identityOf(vault.store);
  const keys = (await keysOfNew(vault.store, identity, [secret])) ?? expect.unreachable();
  const store = keyed(vault.store, keys);
  return { store, keys, identity, log: openLog(store, identity, { keys }) };
}

const emptyList = '{"format":"stead-exclusions","version":1,"databases":[]}';
/** MAC, number of the key, magic. */
const trailerBytes = 38;
const path = (key: string): string => join(vault.folder, key);
const renew = { kind: "renew" } as const;

test("a record without the key is refused, wherever it stands and however whole it is", async () => {
  const { log } = await withKeys();
  const writer = await makeHost("a", log).lead();
  for (const fill of [1, 2, 3]) await writer.append(commit(fill));
  const [claim, first, second, last] = await readToEnd(readerOf(log));
  if (claim === undefined || first === undefined || second === undefined || last === undefined)
    return expect.unreachable();

  const next = { ...last.header, position: 5, previousHash: last.hash };
  const stranger = new VaultKeys("another vault", {
    keys: [{ number: 1, bytes: new Uint8Array(32) }],
    open: {},
    clear: {},
  });
  const forged = [
    encodeRecord(log.serviceTag, next, renew),
    encodeRecord(log.serviceTag, next, renew, { format: 1 }, stranger.forRecords),
    encodeRecord(log.serviceTag, next, renew, { format: 1 }, { ...stranger.forRecords, number: 2 }),
  ];
  for (const { bytes } of forged) {
    writeFileSync(path(logKey(5)), bytes);
    const failure = await failureOf(readToEnd(readerOf(log)));
    expect(failure).toMatchObject({ kind: "corrupt-record", position: 5 });
    expect(await failureOf(writer.append(renew))).toMatchObject({ area: "vault" });
    rmSync(path(logKey(5)));
  }

  // Another content with the same fields, a record in place of another, and one that is gone.
  writeFileSync(path(logKey(3)), encodeRecord(log.serviceTag, second.header, commit(9)).bytes);
  expect(await failureOf(readToEnd(readerOf(log)))).toMatchObject({ kind: "corrupt-record", position: 3 });
  writeFileSync(path(logKey(3)), readFileSync(path(logKey(2))));
  expect(await failureOf(readToEnd(readerOf(log)))).toMatchObject({ kind: "corrupt-record", position: 3 });
  writeFileSync(path(logKey(2)), readFileSync(path(logKey(3))));
  writeFileSync(path(logKey(3)), readFileSync(path(logKey(4))));
  expect(await failureOf(readToEnd(readerOf(log)))).toMatchObject({ kind: "corrupt-record", position: 3 });
});

test("without the vault's keys nothing of it is read as a record", async () => {
  const { log, identity } = await withKeys();
  await makeHost("a", log).lead();
  const failure = await failureOf(readToEnd(readerOf(openLog(vault.store, identity))));
  expect(failure).toMatchObject({ kind: "corrupt-record", position: 1 });
  expect(String(failure)).toContain("has no keyring");
});

test("a manifest without the key, or of another position, is damage", async () => {
  const { store } = await withKeys();
  const database = new PageDatabase("app.db", 3);
  const checkpoint = { store, hash: "0".repeat(64), epoch: 0, wallTimeMs: 0, databases: [database] };
  const { manifest } = await writeCheckpoint({ ...checkpoint, position: 0 });
  expect((await readManifest(store, 0))?.manifestHash).toBe(manifest.manifestHash);
  expect((await writeCheckpoint({ ...checkpoint, position: 3 })).chunksReused).toBe(1);

  writeFileSync(path(checkpointKey(4)), encodeManifest({ ...manifest, position: 4 }).bytes);
  writeFileSync(path(checkpointKey(5)), readFileSync(path(checkpointKey(3))));
  const changed = readFileSync(path(checkpointKey(3)));
  changed.writeUInt8(changed.readUInt8(9) ^ 1, 9);
  writeFileSync(path(checkpointKey(6)), changed);
  for (const position of [4, 5, 6])
    expect(await failureOf(readManifest(store, position))).toMatchObject({ kind: "damaged-manifest", position });
});

test("the list of excluded databases is not changed without the key, nor hidden by another name", async () => {
  const { store } = await withKeys();
  await changeExclusions(store, () => [{ name: "app.db", host: "a", atMs: 1 }]);
  writeFileSync(path("exclusions/9999999999999999"), "");
  expect(await readExclusions(store)).toHaveLength(1);
  const before = readFileSync(path(exclusionKey(1)));
  // An earlier list under a later number, and another content with a trailer that is whole.
  for (const forged of [before, Buffer.concat([Buffer.from(emptyList), before.subarray(-trailerBytes)])]) {
    writeFileSync(path(exclusionKey(2)), forged);
    expect(await failureOf(readExclusions(store))).toMatchObject({ kind: "strange-object", key: exclusionKey(2) });
  }
  writeFileSync(path(exclusionKey(1)), Buffer.concat([Buffer.from(emptyList), before.subarray(-trailerBytes)]));
  rmSync(path(exclusionKey(2)));
  expect(await failureOf(readExclusions(store))).toMatchObject({ kind: "strange-object", key: exclusionKey(1) });
  writeFileSync(path(exclusionKey(2)), emptyList);
  expect(await failureOf(readExclusions(store))).toMatchObject({ kind: "strange-object", key: exclusionKey(2) });
});

test("a log in segments refuses claims, seals and records without the key", async () => {
  await vault.dispose();
  const kind: LogKind = "segments";
  vault = await makeTemporaryVault(service);
  const folder = join(vault.folder, "..", "segments");
  const segments = await createVault(folder, service, { log: kind });
  try {
    const identity = await identityOf(segments);
    const keys = (await keysOfNew(segments, identity, [secret])) ?? expect.unreachable();
    const open = (): Log => openLog(keyed(segments, keys), identity, { keys });
    const writer = await makeHost("a", open()).lead();
    await writer.append(commit(1));
    await writer.append(commit(2));
    // Without the last mark a reader sees all but the last record.
    expect((await readToEnd(readerOf(open()))).length).toBeGreaterThanOrEqual(2);

    const [name] = readdirSync(join(folder, "segments"));
    const bytes = readFileSync(join(folder, "segments", name ?? ""));
    const before = Buffer.from(bytes);
    bytes.writeUInt8(bytes.readUInt8(32 + 224 + 60) ^ 1, 32 + 224 + 60);
    writeFileSync(join(folder, "segments", name ?? ""), bytes);
    expect(await failureOf(readToEnd(readerOf(open())))).toMatchObject({ kind: "corrupt-record", position: 2 });
    writeFileSync(join(folder, "segments", name ?? ""), before);

    writeFileSync(join(folder, claimKey(2)), new Uint8Array(16));
    expect(await failureOf(readToEnd(readerOf(open())))).toMatchObject({ kind: "strange-object", key: claimKey(2) });
    rmSync(join(folder, claimKey(2)));
    writeFileSync(join(folder, sealKey(1)), new Uint8Array(400));
    expect(await failureOf(readToEnd(readerOf(open())))).toMatchObject({ kind: "strange-object", key: sealKey(1) });
  } finally {
    await segments.close();
  }
});

test("the keyring opens with the secret of its vault, and with no other; a change of it is noticed", async () => {
  const { identity } = await withKeys();
  expect(await readKeys(vault.store, identity, [other, secret])).toBeInstanceOf(VaultKeys);
  for (const [secrets, id] of [
    [[other], identity.id],
    [[], identity.id],
    [[secret], "a copy under another id"],
  ] as const)
    expect(await failureOf(readKeys(vault.store, { id }, secrets))).toMatchObject({ area: "vault", kind: "keyring" });
  const text = readFileSync(path(keyringKey(1)), "utf8");
  for (const changed of [text.replace(/"([0-9a-f]{40})/, `"${"0".repeat(40)}`), "{}", "", "[]"]) {
    writeFileSync(path(keyringKey(1)), changed);
    expect(await failureOf(readKeys(vault.store, identity, [secret]))).toMatchObject({ kind: "keyring" });
  }
  // In place of a later one.
  writeFileSync(path(keyringKey(1)), text);
  writeFileSync(path(keyringKey(2)), text);
  expect(await failureOf(readKeys(vault.store, identity, [secret]))).toMatchObject({ kind: "keyring" });
});

test("a secret is changed without other keys: both open them for a while, and then the new one alone", async () => {
  const { log, identity } = await withKeys();
  await makeHost("a", log).lead();
  const url = vault.folder;
  const both = { url, secrets: [other], formerSecrets: [secret], keepsFormer: true };
  expect(await vaultRekey(both)).toEqual({ isNew: false, opensWith: 2, keyNumber: 1, encrypts: false });
  for (const one of [secret, other]) {
    const keys = await readKeys(vault.store, identity, [one]);
    expect(await readToEnd(readerOf(openLog(vault.store, identity, { keys })))).toHaveLength(1);
  }
  expect(await vaultRekey({ url, secrets: [other], formerSecrets: [], keepsFormer: false })).toMatchObject({
    opensWith: 1,
  });
  expect(await failureOf(readKeys(vault.store, identity, [secret]))).toMatchObject({ kind: "keyring" });
  expect(await failureOf(vaultRekey({ url, secrets: [], formerSecrets: [], keepsFormer: false }))).toMatchObject({
    area: "configuration",
  });
  const ring = (await readKeyring(vault.store, identity, [other])) ?? expect.unreachable();
  expect(await sealAgain(vault.store, identity, [other], { ...ring, number: ring.number - 1 })).toBe(false);
});

test("a vault in use gets its keys when its primary has stopped, and from then on takes nothing without", async () => {
  const identity = await identityOf(vault.store);
  const plain = openLog(vault.store, identity);
  const writer = await makeHost("a", plain).lead();
  await writer.append(commit(1));
  expect(await failureOf(turnOnKeys(vault.store, identity, [secret]))).toMatchObject({ kind: "keyring" });
  expect(await keysOfNew(vault.store, identity, [secret]).catch((error: unknown) => error)).toMatchObject({
    kind: "keyring",
  });
  await writer.append({ kind: "vacate", reason: "stopped", successor: undefined });
  const keys = keysOf(identity, await turnOnKeys(vault.store, identity, [secret]));
  const log = openLog(keyed(vault.store, keys), identity, { keys });
  const next = await makeHost("b", log).lead();
  await next.append(commit(2));
  const records = await readToEnd(readerOf(log));
  expect(records.map(({ header }) => header.host)).toEqual(["a", "a", "a", "b", "b"]);
  // What an unauthenticated host would write now.
  const last = records.at(-1) ?? expect.unreachable();
  const header = { ...last.header, position: 6, previousHash: last.hash };
  await plain.put(6, encodeRecord(log.serviceTag, header, renew).bytes);
  expect(await failureOf(readToEnd(readerOf(log)))).toMatchObject({ kind: "corrupt-record", position: 6 });
});

test("a host that has used a vault with keys uses none without, until an operator says so", async () => {
  const { identity } = await withKeys();
  const stateFolder = join(vault.folder, "..", "state");
  const options = { store: vault.store, identity, secrets: [secret], stateFolder };
  expect(await openKnownKeys(options)).toBeInstanceOf(VaultKeys);
  expect(await failureOf(openKnownKeys({ ...options, secrets: [other] }))).toMatchObject({ kind: "keyring" });
  rmSync(path("keys"), { recursive: true });
  expect(await failureOf(openKnownKeys(options))).toMatchObject({ kind: "keyring" });
  const mark = join(stateFolder, "vault-keys.json");
  rmSync(mark);
  mkdirSync(mark);
  expect(await failureOf(openKnownKeys(options))).toMatchObject({ code: "EISDIR" });
  rmSync(mark, { recursive: true });
  expect(await openKnownKeys(options)).toBeUndefined();
});

test("verify and restore need the secret of a vault with keys, and find what was forged", async () => {
  const { store, log } = await withKeys();
  expect(await giveKeys({ url: vault.folder, secrets: [secret] })).toBe("authenticated");
  const database = new PageDatabase("app.db", 3);
  const empty = { store, position: 0, hash: "0".repeat(64), epoch: 0, wallTimeMs: 0, databases: [database] };
  await writeCheckpoint(empty);
  const writer = await makeHost("a", log).lead();
  const databases = [database.change(2, 77)];
  const { record } = await writer.append({ kind: "commit", part: 1, parts: 1, databases });

  const out = (): void => undefined;
  const url = vault.folder;
  const to = { moment: { kind: "newest" }, onWarning: out, service } as const;
  for (const secrets of [[], [other]]) {
    expect(await failureOf(vaultVerify({ url, out, secrets }))).toMatchObject({ kind: "keyring" });
    const folder = join(url, "..", "refused");
    expect(await failureOf(restoreFromVault({ ...to, url, secrets, folder }))).toMatchObject({ kind: "keyring" });
  }
  const secrets = [secret];
  expect((await vaultVerify({ url, out, secrets })).exitCode).toBe(0);
  const folder = join(url, "..", "restored");
  expect(await restoreFromVault({ ...to, url, secrets, folder })).toMatchObject({ position: 2 });
  expect(readFileSync(join(folder, "app.db")).equals(database.bytes)).toBe(true);

  const header = { ...record.header, position: 3, previousHash: record.hash };
  writeFileSync(path(logKey(3)), encodeRecord(log.serviceTag, header, renew).bytes);
  const { exitCode, report } = await vaultVerify({ url, out, secrets });
  expect(exitCode).toBe(9);
  expect(report.findings).toMatchObject([{ kind: "corrupt-record", key: logKey(3) }]);
});
