import { describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeEntryHeader, entryBytes, entryHeaderBytes } from "../../src/vault/log/segment/segment-entry.ts";
import { ServedLog } from "../../src/vault/log/served-log.ts";
import { ForwardingStore } from "../../src/vault/store/forwarding-store.ts";
import type { LogService } from "../../src/vault/store/log-service.ts";
import { openStore } from "../../src/vault/store/open-store.ts";
import type { Store } from "../../src/vault/store/store.ts";
import { describeLogContract, type Fate } from "../support/vault/log-contract.ts";
import { commit, failureOf, makeHost, service } from "../support/vault/log-fixture.ts";
import { describeStoreContract } from "../support/vault/store-contract.ts";
import { type Break, BreakingRelay } from "../support/remote/breaking-relay.ts";
import { makeServedFolder } from "../support/remote/served-vault.ts";

describeStoreContract("a store over a vault server", async () => {
  const served = await makeServedFolder();
  return { store: served.open(), other: served.open(), dispose: () => served.dispose() };
});

const logOf = (store: Store): LogService => new ForwardingStore(store).log as LogService;

/** Flips a byte of the content of an entry. */
function damageIn(bytes: Uint8Array, position: number): boolean {
  const tag = new DataView(bytes.buffer, bytes.byteOffset).getUint32(24, true);
  for (let offset = 0; offset < bytes.length; ) {
    const header = decodeEntryHeader(bytes.subarray(offset), tag);
    if (header === undefined) return false;
    if (header.position === position) {
      bytes[offset + entryHeaderBytes + 10]! ^= 1;
      return true;
    }
    offset += entryBytes(header.contentBytes);
  }
  return false;
}

describeLogContract("the log of a vault server", async () => {
  const served = await makeServedFolder(service);
  const relay = await BreakingRelay.to(served.port);
  let count = 0;
  const breakOf = (fate: Fate): Break => {
    count += 1;
    if (fate === "late") return { kind: "late" };
    return fate === "done"
      ? { kind: "answer", bytes: (count * 11) % 90 }
      : { kind: "request", bytes: (count * 29) % 250 };
  };
  return {
    log: new ServedLog(logOf(served.open({ address: { host: "127.0.0.1", port: relay.port } })), service),
    other: new ServedLog(logOf(served.open()), service),
    loseAnswer: (fate) => relay.breakNext(breakOf(fate)),
    arrive: () => relay.arrive(),
    damage: async (position) => {
      const store = await openStore(served.folder);
      for (const key of await store.list("segments/")) {
        const bytes = await readFile(join(served.folder, key));
        if (damageIn(bytes, position)) await writeFile(join(served.folder, key), bytes);
      }
      await store.close();
      // What the server remembers of its newest entries would hide the damage.
      await served.restart();
    },
    dispose: async () => {
      relay.close();
      await served.dispose();
    },
  };
});

describe("a put over a connection that breaks", () => {
  for (const kind of ["request", "answer"] as const)
    test(`at any byte of its ${kind} may have happened or not, and the repetition decides it`, async () => {
      const served = await makeServedFolder(service);
      const relay = await BreakingRelay.to(served.port);
      const { log } = served.open({ address: { host: "127.0.0.1", port: relay.port } });
      const direct = served.open().log;
      const writer = await makeHost("a", new ServedLog(direct, service)).lead();
      await writer.append(commit(1));
      const record = (await direct.get(2)) as Uint8Array;
      await log.get(1);
      // Where the position is taken, every byte of a put and of its answer can be tried without writing anything.
      expect(await log.put(2, record)).toEqual({ kind: "exists" });
      const bytes = kind === "request" ? relay.requestBytes : relay.answerBytes;
      expect(bytes).toBeGreaterThan(60);
      for (let at = 0; at < bytes; at += 3) {
        relay.breakNext({ kind, bytes: at });
        expect(await failureOf(log.put(2, record))).toMatchObject({ kind: "ambiguous" });
        expect(await log.put(2, record)).toEqual({ kind: "exists" });
      }
      expect(await direct.positions(0)).toEqual([1, 2]);
      relay.close();
      await served.dispose();
    });
});
