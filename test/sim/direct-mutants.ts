/**
 * Mutants that the simulated cluster does not show, or hardly ever, each attacked on the real parts directly.
 *
 * `pin-order` acts inside SQLite's locks, which are not simulated: real capture, a real database, an application in
 * another process that lets the WAL start over between collecting and reading. `chain` is about records that are whole,
 * of the right position, epoch and writer, and yet of another history (a file that came back from a copy of the vault),
`authentic` about one that no host has written.
 * A vault that keeps its word never has one, so no fault of the simulation makes one; here one is planted. The two
 * about late copies of a PUT: a request that timed out is not repeated any more, so that histories in which a first
 * copy is still on its way when its repetition has been answered are rare. Here that order is made.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { decideReplay, isOfEpoch } from "../../src/core/replay.ts";
import { RequestNames } from "../../src/core/request-names.ts";
import type { Rules } from "../../src/core/rules.ts";
import { readRecord } from "../../src/vault/log/log.ts";
import { LogReader } from "../../src/vault/log/log-reader.ts";
import { LogWriter } from "../../src/vault/log/log-writer.ts";
import { encodeRecord } from "../../src/vault/log/record-codec.ts";
import { namesTableOf, tableSections } from "../../src/vault/log/request-table-sections.ts";
import { StoreLog } from "../../src/vault/log/store-log.ts";
import { MemoryStore } from "../../src/vault/store/memory-store.ts";
import { VaultKeys } from "../../src/vault/store/vault-keys.ts";
import { Scenario as FailoverScenario } from "../support/core/failover-scenario.ts";
import { Application, Pair, temporaryFolder } from "../support/capture/pair.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { SimProcess } from "./sim-process.ts";
import { World } from "./world.ts";

/** What went wrong; undefined: nothing, the rule is in force. */
export async function attackPins(rules: Rules): Promise<string | undefined> {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  await using application = new Application();
  await application.open("a", join(folder.path, "app", "app.db"));
  await application.run(
    "a",
    "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA busy_timeout=0; CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
  );
  const pair = await Pair.open(folder.path, { limits: { eagerBytesMax: 0 }, rules });
  try {
    await application.run(
      "a",
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50) INSERT INTO t(v) SELECT randomblob(3000) FROM n",
    );
    const batch = await pair.source.collect();
    for (let i = 0; i < 3; i++) {
      await application.run("a", "PRAGMA wal_checkpoint(TRUNCATE)");
      await application.run("a", "UPDATE t SET v = randomblob(2000)");
    }
    await pair.applyBatch(batch);
    await pair.sync();
    return pair.copyHash("app.db") === (await application.image("a")).sha256 ? undefined : "the copy differs";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await pair.close();
  }
}

/**
 * The value that a PUT of 1 leaves, when it was lost in epoch 1, is repeated if it may be, is overwritten by 2, and its
 * first copy arrives last.
 */
function registerAfterLateCopy(rules: Rules, repeatedIn: number): number {
  const lost = { kind: "lost", released: false, bodyHeld: true, cause: "host-lost", reason: "reset" } as const;
  const decision = decideReplay("PUT", lost, { losses: [], againMax: 1 }, rules);
  const mayRepeat = decision.kind === "again" && (repeatedIn > 1 || decision.why !== "changes-state");
  let register = mayRepeat ? 1 : 0;
  register = 2;
  // Without a repetition its client was told that the outcome is unknown: then a late effect is no breach.
  if (mayRepeat && isOfEpoch("1", repeatedIn, rules)) register = 1;
  return register;
}

const overwritten = (register: number): string | undefined =>
  register === 2 ? undefined : "a late first copy of an answered PUT overwrote a newer value";

/** In the epoch that lost it. */
export const attackSameEpoch = (rules: Rules): Promise<string | undefined> =>
  Promise.resolve(overwritten(registerAfterLateCopy(rules, 1)));
/** In the next one: the host that lost it is primary again. */
export const attackOwnEpoch = (rules: Rules): Promise<string | undefined> =>
  Promise.resolve(overwritten(registerAfterLateCopy(rules, 2)));

/**
 * A host restores a checkpoint that was announced with a table, and is asked for a request that was executed before it.
 * In the simulation a failover during a request seldom comes to a host that has just restored.
 */
export function attackCarried(rules: Rules): Promise<string | undefined> {
  const request = { run: "0123456789abcdef", count: 1, after: 5 };
  const primary = new RequestNames(rules);
  primary.begin({ ...request, isAgain: false }, 5);
  primary.take();
  const record = tableSections(primary.table());
  const restored = new RequestNames(rules);
  const table = namesTableOf(record);
  if (table !== undefined) restored.onTable(9, table, 0);
  restored.isUnknownUntil(8);
  const { kind } = restored.begin({ ...request, isAgain: true }, 9);
  return Promise.resolve(kind === "execute" ? "a request of before a checkpoint is executed a second time" : undefined);
}

/** A peer and a host that say an epoch that no claim will reach, while the primary serves and is then lost. */
export function attackEpochs(rules: Rules): Promise<string | undefined> {
  const s = FailoverScenario.serving({}, rules);
  const epoch = Number.MAX_SAFE_INTEGER;
  s.send({ kind: "peer-view", view: { gateway: "g2", at: s.now, epoch, sees: "up" }, primary: "x" });
  s.hears("b", { epoch, epochHost: "b", role: "primary" }).hears("b");
  const served = (host: string): boolean => s.state.routed.kind === "host" && s.state.routed.host === host;
  if (!served("a")) return Promise.resolve("a healthy primary was replaced by a number");
  s.refused("a").refused("a").after(500);
  if (s.phase !== "promoting") return Promise.resolve(`no host is ordered to take over: ${s.phase}`);
  s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:1000/b" });
  return Promise.resolve(served("b") ? undefined : "the new primary gets no traffic");
}

/** Two histories of one writer that differ at position 2; the second one's record 3 is planted into the first. */
export async function attackChain(rules: Rules): Promise<string | undefined> {
  const [store, other] = [await history("one"), await history("two")];
  const log = new StoreLog(store, "sim");
  const planted = await new StoreLog(other, "sim").get(3);
  if (planted === undefined) throw new Error("there is no record to plant");
  store.overwrite(log.nameOf(3), planted);
  const reader = new LogReader({ log, start: { position: 0, hash: "0".repeat(64) }, rules });
  const seen: string[] = [];
  try {
    for (let record = await reader.next(); record !== undefined; record = await reader.next())
      if (record.body.kind === "vacate") seen.push(record.body.reason);
  } catch {
    return undefined;
  }
  return `read ${seen.join(", ")} as one history`;
}

/** A writer without the keys adds a record that fits: it continues the chain, in the name of the primary. */
export async function attackForgery(rules: Rules): Promise<string | undefined> {
  const keys = new VaultKeys(
    "sim",
    { keys: [{ number: 1, bytes: new Uint8Array(32).fill(7) }], open: {}, clear: {} },
    { rules },
  );
  const store = await history("written", keys);
  const log = new StoreLog(store, "sim", keys);
  const last = await readRecord(log, 3);
  if (last === undefined) throw new Error("there is no record to follow");
  const header = { ...last.header, position: 4, previousHash: last.hash };
  const body = { kind: "vacate", reason: "forged", successor: undefined } as const;
  await log.put(4, encodeRecord(log.serviceTag, header, body).bytes);
  const reader = new LogReader({ log, start: { position: 0, hash: "0".repeat(64) }, rules });
  let read = 0;
  try {
    while ((await reader.next()) !== undefined) read += 1;
  } catch {
    return read === 3 ? undefined : `only ${read} of 3 records are read`;
  }
  return `read ${read} records, and the primary wrote 3`;
}

async function history(name: string, keys?: VaultKeys): Promise<MemoryStore> {
  const world = new World({ keepTrace: false });
  const { clock } = new SimProcess(world, name, { rate: 1, wallStartMs: 0 });
  const store = new MemoryStore();
  const rules: Rules = { has: () => true };
  const reader = new LogReader({
    log: new StoreLog(store, "sim", keys),
    start: { position: 0, hash: "0".repeat(64) },
    rules,
  });
  await reader.next();
  const claim = {
    reader,
    clock,
    random: new SeededRandom(1),
    host: "a",
    leaseMs: 1_000,
    controlUrl: "http://a",
    instance: "1",
    rules,
  };
  const outcome = await LogWriter.claim(claim);
  if (outcome.kind !== "claimed") throw new Error(outcome.kind);
  for (const step of ["first", "second"])
    await outcome.writer.append({ kind: "vacate", reason: `${name} ${step}`, successor: undefined });
  return store;
}
