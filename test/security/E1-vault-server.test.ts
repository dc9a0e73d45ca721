/**
 * Attack E1, forgery by a vault server: who has the server's machine has the folder, answers what it likes, and hosts
 * believed it.
 *
 * Rule: the keys are at the hosts. The server verifies and makes no record, manifest or list of excluded databases;
 * what it answers counts only with the hosts' code. It writes claims and seals of its own, which hosts do not see.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { vaultRekey, vaultVerify } from "../../src/cli/commands/vault.ts";
import { exclusionKey } from "../../src/vault/keys.ts";
import { openLog } from "../../src/vault/log/open-log.ts";
import { encodeRecord } from "../../src/vault/log/record-codec.ts";
import { claimKey, sealKey } from "../../src/vault/log/segment/segment-key.ts";
import { ServedLog } from "../../src/vault/log/served-log.ts";
import { keysOfNew } from "../../src/vault/log/turn-on-keys.ts";
import { changeExclusions, readExclusions } from "../../src/vault/store/exclusions.ts";
import { readIdentity } from "../../src/vault/store/identity.ts";
import { hasTrailer, keyed } from "../../src/vault/store/keyed-store.ts";
import { readKeys } from "../../src/vault/store/keyring.ts";
import type { LogService } from "../../src/vault/store/log-service.ts";
import { openStore } from "../../src/vault/store/open-store.ts";
import type { Store } from "../../src/vault/store/store.ts";
import type { VaultKeys } from "../../src/vault/store/vault-keys.ts";
import { makeServedFolder, secret, type ServedFolder, serveFolder } from "../support/remote/served-vault.ts";
import { commit, failureOf, makeHost, readerOf, readToEnd, service } from "../support/vault/log-fixture.ts";

let served: ServedFolder;
beforeEach(async () => {
  served = await makeServedFolder(service);
});
afterEach(() => served.dispose());

async function keysThrough(store: Store): Promise<VaultKeys> {
  const identity = (await readIdentity(store)) ?? expect.unreachable();
  return (await keysOfNew(store, identity, [secret])) ?? expect.unreachable();
}
const serviceOf = (store: Store): LogService => store.log ?? expect.unreachable();
const inFolder = (key: string): Buffer => readFileSync(join(served.folder, key));

test("hosts lead, follow and take over with their keys, and the server has none", async () => {
  const store = served.open();
  const keys = await keysThrough(store);
  const writer = await makeHost("a", new ServedLog(serviceOf(store), service, keys)).lead();
  await writer.append(commit(1));
  const log = new ServedLog(serviceOf(served.open()), service, keys);
  await makeHost("b", log).lead();
  expect((await readToEnd(readerOf(log))).map(({ header }) => header.host)).toEqual(["a", "a", "b"]);
  expect((await log.newestEpoch())?.header.host).toBe("b");
  await changeExclusions(keyed(store, keys), () => [{ name: "app.db", host: "a", atMs: 1 }]);
  await served.restart();
  expect(await readExclusions(keyed(served.open(), keys))).toHaveLength(1);
  expect(hasTrailer(inFolder(exclusionKey(1)))).toBe(true);
  expect(hasTrailer(inFolder(claimKey(1)))).toBe(false);
});

test("what a server makes up is refused: a record, a claim, a list", async () => {
  const store = served.open();
  const keys = await keysThrough(store);
  const honest = serviceOf(store);
  const log = new ServedLog(honest, service, keys);
  const writer = await makeHost("a", log).lead();
  const { record } = await writer.append(commit(1));
  const header = { ...record.header, position: 3, epoch: 2, host: "x", previousHash: record.hash };
  const claim = {
    kind: "epoch",
    leaseMs: 1_000,
    controlUrl: "http://x",
    instance: "x",
    predecessor: undefined,
  } as const;
  const forged = encodeRecord(log.serviceTag, header, claim).bytes;
  const forging = new Proxy(honest, {
    get: (of, name) => {
      if (name === "get") return (at: number) => (at === 3 ? Promise.resolve(forged) : of.get(at));
      if (name === "newestClaim")
        return (before?: number) =>
          before === undefined ? Promise.resolve({ position: 3, bytes: forged }) : of.newestClaim(before);
      return (Reflect.get(of, name) as () => unknown).bind(of);
    },
  });
  const victim = new ServedLog(forging, service, keys);
  expect(await failureOf(readToEnd(readerOf(victim)))).toMatchObject({ kind: "corrupt-record", position: 3 });
  expect((await victim.newestEpoch())?.header.host).toBe("a");

  await store.putIfAbsent(exclusionKey(1), Buffer.from('{"format":"stead-exclusions","version":1,"databases":[]}'));
  expect(await failureOf(readExclusions(keyed(store, keys)))).toMatchObject({ kind: "strange-object" });
});

test("a folder that hosts had written with keys is served on, without the keys", async () => {
  await served.server.close();
  const folder = await openStore(served.folder);
  const identity = (await readIdentity(folder)) ?? expect.unreachable();
  const keys = await keysThrough(folder);
  const direct = openLog(keyed(folder, keys), identity, { keys });
  const writer = await makeHost("a", direct).lead();
  await writer.append(commit(1));
  expect(hasTrailer(inFolder(sealKey(2)))).toBe(true);
  served.server = await serveFolder(served.folder, served.port);
  const log = new ServedLog(serviceOf(served.open()), service, keys);
  await (await makeHost("b", log).lead()).append(commit(2));
  const found = await readToEnd(readerOf(log));
  expect(found.map(({ header }) => header.host)).toEqual(["a", "a", "b", "b"]);
});

test("commands turn keys on, and verify, through the server", async () => {
  const [url, out] = [`stead://127.0.0.1:${served.port}`, (): void => undefined];
  expect(await vaultRekey({ url, secrets: [secret], formerSecrets: [], keepsFormer: false })).toMatchObject({
    isNew: true,
  });
  const store = served.open();
  const identity = (await readIdentity(store)) ?? expect.unreachable();
  const keys = (await readKeys(store, identity, [secret])) ?? expect.unreachable();
  await (await makeHost("a", new ServedLog(serviceOf(store), service, keys)).lead()).append(commit(1));
  for (const place of [url, served.folder]) {
    const { report } = await vaultVerify({ url: place, out, secrets: [secret] });
    expect(report.findings).toEqual([]);
  }
});

test("hosts take a folder over from a server once its primary has stopped and an operator has said so", async () => {
  const store = served.open();
  const keys = await keysThrough(store);
  const writer = await makeHost("a", new ServedLog(serviceOf(store), service, keys)).lead();
  await writer.append(commit(1));
  const rekey = { url: served.folder, secrets: [secret], formerSecrets: [], keepsFormer: false };
  expect(await failureOf(vaultRekey(rekey))).toMatchObject({ kind: "keyring" });
  await writer.append({ kind: "vacate", reason: "stopped", successor: undefined });
  await served.server.close();
  const folder = await openStore(served.folder);
  const identity = (await readIdentity(folder)) ?? expect.unreachable();
  const before = openLog(keyed(folder, keys), identity, { keys });
  expect(await failureOf(readToEnd(readerOf(before)))).toMatchObject({ kind: "strange-object" });
  await vaultRekey(rekey);
  const opened = (await readKeys(folder, identity, [secret])) ?? expect.unreachable();
  const direct = openLog(keyed(folder, opened), identity, { keys: opened });
  await (await makeHost("b", direct).lead()).append(commit(2));
  expect((await readToEnd(readerOf(direct))).map(({ header }) => header.host)).toEqual(["a", "a", "a", "b", "b"]);
  await folder.close();
  served.server = await serveFolder(served.folder, served.port);
});
