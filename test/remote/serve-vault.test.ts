import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { KnownLog } from "../../src/remote/known-end.ts";
import type { LogService } from "../../src/vault/store/log-service.ts";
import { LogTakenError } from "../../src/vault/log/segment/segment-claims.ts";
import { openLog } from "../../src/vault/log/open-log.ts";
import type { LogWriter } from "../../src/vault/log/log-writer.ts";
import { SegmentLog } from "../../src/vault/log/segment/segment-log.ts";
import { ServedLog } from "../../src/vault/log/served-log.ts";
import { createVault, openStore } from "../../src/vault/store/open-store.ts";
import type { Store } from "../../src/vault/store/store.ts";
import { commit, failureOf, makeHost, readerOf, readToEnd, service } from "../support/vault/log-fixture.ts";
import { makeServedFolder, type ServedFolder, serveFolder } from "../support/remote/served-vault.ts";

let served: ServedFolder;
beforeEach(async () => {
  served = await makeServedFolder(service);
});
afterEach(() => served.dispose());

/** Appends until the server ends, as a host would without an end. */
async function appendWhileServed(writer: LogWriter, fill: number): Promise<unknown> {
  const stop = new AbortController();
  served.server.ended.catch(() => stop.abort(new Error("the server has ended")));
  return failureOf(writer.append(commit(fill), { signal: stop.signal }));
}
const hasEnded = new Error("the server has ended");
const logOf = (store: Store): ServedLog => new ServedLog(store.log as LogService, service);
const positionsIn = async (log: ServedLog): Promise<number[]> =>
  (await readToEnd(readerOf(log))).map(({ header }) => header.position);

describe("a server that was started again", () => {
  test("has everything, and the primary appends behind it without a new claim", async () => {
    const log = logOf(served.open());
    const writer = await makeHost("a", log).lead();
    for (let round = 1; round <= 3; round += 1) {
      await writer.append(commit(round));
      await served.restart();
      await writer.append(commit(round));
    }
    expect(await positionsIn(logOf(served.open()))).toEqual([1, 2, 3, 4, 5, 6, 7]);
    const successor = await makeHost("b", logOf(served.open())).lead();
    expect(successor.epoch).toBe(2);
    expect(await failureOf(writer.append(commit(9)))).toMatchObject({ kind: "fenced", host: "b" });
  });

  test("has a record whose answer was lost with the one before, and its writer learns that it is there", async () => {
    const log = logOf(served.open());
    const writer = await makeHost("a", log).lead();
    await writer.append(commit(1));
    const store = await openStore(served.folder);
    const direct = logOf(served.open());
    const bytes = (await direct.get(2)) as Uint8Array;
    await served.restart();
    expect(await direct.put(2, bytes)).toEqual({ kind: "exists" });
    await store.close();
  });
});

describe("one folder", () => {
  test("is served by one server; a second one names the first", async () => {
    expect(await failureOf(serveFolder(served.folder))).toMatchObject({
      found: expect.stringContaining(`another vault server (process ${process.pid}) has ${served.folder}`),
    });
  });

  test("whose log another process takes: the server acknowledges nothing more, and ends", async () => {
    const log = logOf(served.open());
    const writer = await makeHost("a", log).lead();
    await writer.append(commit(1));
    const store = await openStore(served.folder);
    const second = new SegmentLog({ store, files: store.files!, service });
    await second.takeAll();
    expect(await appendWhileServed(writer, 2)).toEqual(hasEnded);
    expect(await failureOf(served.server.ended)).toBeInstanceOf(LogTakenError);
    // What it wrote meanwhile does not apply.
    expect(await second.get(3)).toBeUndefined();
    const next = await makeHost("b", second).lead();
    await next.append(commit(3));
    const found = await readToEnd(readerOf(second));
    expect(found.map(({ header }) => `${header.position} ${header.host}`)).toEqual(["1 a", "2 a", "3 b", "4 b"]);
    await store.close();
  });

  test("that a host uses by itself: the host's term ends when a server takes the log, and the server's when a host claims", async () => {
    await served.server.close();
    const store = await openStore(served.folder);
    const direct = openLog(store, { service, log: "segments" });
    const writer = await makeHost("a", direct).lead();
    await writer.append(commit(1));
    served.server = await serveFolder(served.folder, served.port);
    expect(await failureOf(writer.append(commit(2)))).toBeInstanceOf(LogTakenError);
    const log = logOf(served.open());
    const second = await makeHost("b", log).lead();
    await second.append(commit(3));
    await makeHost("c", openLog(store, { service, log: "segments" })).lead();
    expect(await appendWhileServed(second, 4)).toEqual(hasEnded);
    expect(await failureOf(served.server.ended)).toBeInstanceOf(LogTakenError);
    await store.close();
  });
});

describe("a server on an older copy", () => {
  /** A copy with two commits of the four that were acknowledged; the server serves it now, at the same address. */
  async function restoredFromCopy(log: ServedLog): Promise<void> {
    const writer = await makeHost("a", log).lead();
    for (const fill of [1, 2]) await writer.append(commit(fill));
    await served.server.close();
    const copy = join(served.parent, "copy");
    await cp(served.folder, copy, { recursive: true });
    served.server = await serveFolder(served.folder, served.port);
    for (const fill of [3, 4]) await writer.append(commit(fill));
    await served.server.close();
    served.server = await serveFolder(copy, served.port);
  }
  const refusal = {
    kind: "unavailable",
    found: expect.stringMatching(/is not believed: this host knows record 5 of the log, and its log ends before it/),
    advice: expect.stringContaining("older copy"),
  };

  test("is not believed by a host that has written more: it reads nothing and writes nothing there", async () => {
    const store = served.open();
    const log = logOf(store);
    await restoredFromCopy(log);
    expect(await failureOf(log.get(3))).toMatchObject(refusal);
    expect(await failureOf(log.put(6, new Uint8Array(10)))).toMatchObject(refusal);
    expect(await failureOf(store.get("identity.json"))).toMatchObject(refusal);
  });

  test("is not believed by a host that has read more, also after that one was started again", async () => {
    const known = new KnownLog();
    const reader = logOf(served.open({ known }));
    const writerLog = logOf(served.open());
    const writer = await makeHost("a", writerLog).lead();
    await writer.append(commit(1));
    expect(await positionsIn(reader)).toEqual([1, 2]);
    const copy = join(served.parent, "copy");
    await served.server.close();
    await cp(served.folder, copy, { recursive: true });
    served.server = await serveFolder(served.folder, served.port);
    await writer.append(commit(2));
    await reader.get(3);
    await served.server.close();
    served.server = await serveFolder(copy, served.port);
    expect(await failureOf(reader.get(1))).toMatchObject({ kind: "unavailable" });
    const adopting = new KnownLog();
    const again = logOf(served.open({ known: adopting }));
    expect(await again.get(1)).toBeDefined();
    // As a host that has looked at the vault's identity, and then reads what its earlier run knew.
    if (known.end !== undefined) adopting.adopt(known.end);
    expect(await failureOf(again.get(1))).toMatchObject({
      kind: "unavailable",
      advice: expect.stringContaining("older copy"),
    });
  });

  test("that has gone on with other records is not believed either, and those that know less of it use it", async () => {
    const log = logOf(served.open());
    await restoredFromCopy(log);
    const stranger = logOf(served.open());
    const writer = await makeHost("b", stranger).lead();
    for (const fill of [7, 8, 9]) await writer.append(commit(fill));
    expect(await failureOf(log.get(1))).toMatchObject({
      found: expect.stringContaining("its log has another record there"),
    });
  });

  test("a log from which retention has removed what a host knows is believed", async () => {
    const log = logOf(served.open());
    const writer = await makeHost("a", log).lead();
    for (const fill of [1, 2, 3]) await writer.append(commit(fill));
    const known = new KnownLog((await knownOf(log, 3)).end);
    await served.restart();
    for (const fill of [4, 5]) await writer.append(commit(fill));
    await log.removeUpTo(4);
    expect(await log.boundary()).toBeGreaterThanOrEqual(3);
    expect(await logOf(served.open({ known })).get(6)).toBeDefined();
  });

  async function knownOf(log: ServedLog, position: number): Promise<KnownLog> {
    const known = new KnownLog();
    known.learn(position, (await log.get(position)) as Uint8Array);
    return known;
  }
});

test("a folder whose log is in objects is refused, with what to do", async () => {
  const folder = join(served.parent, "objects");
  await (await createVault(folder, service)).close();
  expect(await failureOf(serveFolder(folder))).toMatchObject({
    kind: "unsuitable",
    advice: expect.stringContaining("--log segments"),
  });
});
