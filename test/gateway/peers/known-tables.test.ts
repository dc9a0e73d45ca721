/**
 * Gateways of two versions: the one in the middle is from before tokens and the audit. It accepts no row of a message
 * with their tables, and says nothing of what it knows.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { createClient } from "@libsql/client";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PeerMessage } from "../../../src/control/peer-api.ts";
import { KnownTables, ownTables, Withheld } from "../../../src/gateway/peers/known-tables.ts";
import type { PeerTransport, SyncAnswer } from "../../../src/gateway/peers/peer-client.ts";
import { Peers } from "../../../src/gateway/peers/peers.ts";
import { migrations } from "../../../src/gateway/state/migrations.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { putAudit, putService, putToken, type RowWrite } from "../../../src/gateway/state/rows.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { silentLog } from "../../support/control/cluster-certificates.ts";
import { until } from "../../support/gateway/cluster.ts";

let folder: string;
const running = new Map<string, Member>();
/** Pairs of ids that cannot reach each other. */
const cut = new Set<string>();
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-known-tables-"));
});
afterEach(async () => {
  for (const { peers, store } of running.values()) {
    await peers.close();
    await store.close();
  }
  running.clear();
  cut.clear();
  rmSync(folder, { recursive: true, force: true });
});

interface Member {
  readonly peers: Peers;
  readonly store: StateStore;
  readonly isOld: boolean;
}

const urlOf = (id: string): string => `http://${id}`;

/** What an earlier version does with a message: it ignores what it does not know, except tables. */
const readByOld = ({ knows: _, ...message }: PeerMessage): PeerMessage =>
  "tokens" in message.tables || "audit" in message.tables
    ? { ...message, rows: [], tables: {}, push: null, vector: null }
    : { ...message, knows: ownTables };
const saidByOld = ({ knows: _, ...message }: PeerMessage): PeerMessage => message;

function transportOf(from: string, to: string): PeerTransport {
  return {
    sync(message): Promise<SyncAnswer> {
      const other = running.get(to);
      if (other === undefined || cut.has(`${from} ${to}`) || cut.has(`${to} ${from}`))
        return Promise.resolve({ kind: "failed", why: "not reached" });
      const sent = running.get(from)?.isOld === true ? saidByOld(message) : message;
      const answer = other.peers.handle(other.isOld ? readByOld(sent) : sent);
      if ("reason" in answer) return Promise.resolve({ kind: "refused", refusal: answer });
      const said = other.isOld ? saidByOld(answer) : answer;
      return Promise.resolve({ kind: "ok", message: running.get(from)?.isOld === true ? readByOld(said) : said });
    },
    close: () => undefined,
  };
}

async function start(id: string, seeds: readonly string[], isOld = false): Promise<Member> {
  const disk = fileDisk(join(folder, `${id}.db`));
  const store = new StateStore({ disk, gateway: id, clock: systemClock, random: systemRandom });
  await store.open();
  const peers = new Peers({
    ...{ id, adminUrl: urlOf(id), seeds: seeds.map(urlOf), clock: systemClock, log: silentLog, store },
    transport: (url) => transportOf(id, url.slice("http://".length)),
    services: () => [],
  });
  peers.register(1);
  const member = { peers, store, isOld };
  running.set(id, member);
  peers.start();
  return member;
}

async function stop(id: string): Promise<void> {
  const member = running.get(id);
  await member?.peers.close();
  await member?.store.close();
  running.delete(id);
}

function write({ store, peers }: Member, row: RowWrite): void {
  store.write(row);
  peers.refresh();
}

const token = putToken({
  ...{ id: "t1", name: "grafana", role: "viewer", hash: "0", createdAtMs: 1, createdBy: "secret", expiresAtMs: null },
  deleted: false,
});
const call = putAudit({
  ...{ id: "g1.1.1", atMs: 1, gateway: "g1", who: "secret", role: null, address: null, method: "POST", path: "/x" },
  ...{ subject: null, outcome: "done", status: 200, detail: null, calls: 1 },
});
const has = ({ store }: Member, table: string): boolean => store.replica.countOf(table) > 0;
const hasService = ({ store }: Member, name: string): boolean => store.replica.get("services", name) !== undefined;

/** Links follow the rows of gateways, as in a gateway. */
const refreshed = (condition: () => boolean) => (): boolean => {
  for (const { peers } of running.values()) peers.refresh();
  return condition();
};

test("an earlier gateway gets all rows of the tables that it has, and the others once it is upgraded; a claim that it makes meanwhile costs no other gateway a row", async () => {
  const a = await start("g1", []);
  write(a, putService({ name: "before", paused: false }));
  write(a, token);
  write(a, call);
  const old = await start("g2", ["g1"], true);
  await until(refreshed(() => hasService(old, "before")));
  write(a, putService({ name: "after", paused: true }));
  await until(refreshed(() => hasService(old, "after")));
  expect([has(old, "tokens"), has(old, "audit")]).toEqual([false, false]);
  expect(a.peers.status().find(({ id }) => id === "g2")?.trouble).toMatch(
    /does not have the tables audit, challenges, deliveries, drills, impacts, maintenance, notifications, restoreTests, tokens: .*\([1-9]\d* so far\)/,
  );

  // It hears of the first one's rows by the one in the middle alone, which claims to know them all.
  cut.add("g1 g3");
  const c = await start("g3", ["g2"]);
  await until(refreshed(() => hasService(c, "after")));
  cut.clear();
  await until(refreshed(() => has(c, "tokens") && has(c, "audit")));

  await stop("g2");
  const database = createClient({ url: `file:${join(folder, "g2.db")}` });
  await database.executeMultiple(migrations.find(({ name }) => name === "0008_pull_again")?.sql ?? "");
  database.close();
  const upgraded = await start("g2", ["g1"]);
  await until(refreshed(() => has(upgraded, "tokens") && has(upgraded, "audit")));
  await until(refreshed(() => a.peers.status().every(({ trouble }) => trouble === undefined)));
}, 30_000);

test("a gateway knows a table if it has all of its columns", () => {
  const missingIn = (knows: PeerMessage["knows"]): string => new KnownTables({ knows }).missing;
  expect(missingIn(ownTables)).toBe("");
  expect(missingIn({ ...ownTables, later: ["id"] })).toBe("");
  expect(missingIn({ ...ownTables, hosts: ["service", "id"] })).toBe("hosts");
  expect(missingIn(undefined)).toBe(
    "audit, challenges, deliveries, drills, impacts, maintenance, notifications, restoreTests, tokens",
  );
});

test("rows that are not sent are counted for each peer, until it is upgraded", () => {
  const withheld = new Withheld();
  const row = { table: "audit", key: "", values: {}, origin: "g1~1", seq: 1, hlc: "", deleted: false };
  const old = new KnownTables({ knows: undefined });
  expect(withheld.select("g2", old, [row, { ...row, table: "hosts" }]).map(({ table }) => table)).toEqual(["hosts"]);
  withheld.select("g2", old, [row]);
  expect(withheld.warningOf("g2")).toContain("(2 so far)");
  expect(withheld.warningOf("g3")).toBeUndefined();
  withheld.select("g2", new KnownTables({ knows: ownTables }), [row]);
  expect(withheld.warningOf("g2")).toBeUndefined();
});

test("the migration that adds a shared table, or one after it, empties the vector", () => {
  const changes = migrations.flatMap(({ sql }, index) =>
    /(?:CREATE|ALTER) TABLE `t_(?!vector|met)/.test(sql) && index > 0 ? [index] : [],
  );
  const empties = migrations.findLastIndex(({ sql }) => sql.includes("DELETE FROM `t_vector`"));
  // One in the same file is in the same transaction.
  expect(empties).toBeGreaterThanOrEqual(changes.at(-1) ?? 0);
});
