import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createClient } from "@libsql/client";
import { getTableColumns, getTableName } from "drizzle-orm";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { HybridClock } from "../../../src/gateway/state/hybrid-clock.ts";
import { migrate, NewerDatabaseError } from "../../../src/gateway/state/migrate.ts";
import { addEvent, putEpoch, putHost, putService } from "../../../src/gateway/state/rows.ts";
import * as schema from "../../../src/gateway/state/schema.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { queuedWritesMax, StateStore } from "../../../src/gateway/state/store.ts";
import { embeddedMigrations } from "../../../scripts/embed-migrations.ts";
import { until } from "../../support/gateway/cluster.ts";

let folder: string;
let path: string;
const opened: StateStore[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-store-"));
  path = join(folder, "below", "gateway.db");
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  rmSync(folder, { recursive: true, force: true });
});

function newStore(at = path): StateStore {
  const store = new StateStore({ disk: fileDisk(at), gateway: "g1", clock: systemClock, random: systemRandom });
  opened.push(store);
  return store;
}

const host = (id: string, priority: number | null = null) =>
  putHost({
    service: "notes",
    id,
    controlUrl: `http://${id}`,
    priority,
    nofailover: null,
    source: "operator",
    deleted: false,
  });
const epoch = (number: number, owner: string) =>
  putEpoch({ service: "notes", epoch: number, host: owner, dataUrl: `http://${owner}`, firstSeenAtMs: 1 });
const event = (id: string) =>
  addEvent({ id, atMs: 1, gateway: "g1", service: "notes", host: null, level: "info", what: "x", detail: "y" });

async function rows(sql: string): Promise<Record<string, unknown>[]> {
  const client = createClient({ url: `file:${path}` });
  try {
    return (await client.execute(sql)).rows.map((row) => ({ ...row }));
  } finally {
    client.close();
  }
}

describe("the gateway's database", () => {
  test("keeps services, hosts and the highest epoch over a restart", async () => {
    const first = newStore();
    expect(await first.open()).toEqual({ services: [], hosts: [], epochs: [] });
    first.write(putService({ name: "notes", paused: true }));
    first.write(host("a"));
    for (const [number, owner] of [
      [1, "a"],
      [3, "c"],
      [2, "b"],
    ] as const)
      first.write(epoch(number, owner));
    await first.close();
    const remembered = await newStore().open();
    expect(remembered.services).toMatchObject([{ name: "notes", paused: true, pausedUntilMs: null }]);
    expect(remembered.hosts).toMatchObject([{ id: "a", deleted: false, origin: expect.stringMatching(/^g1~/) }]);
    expect(remembered.epochs).toEqual([{ service: "notes", epoch: 3, host: "c", dataUrl: "http://c" }]);
  });

  test("writes by itself, and a later write of a row replaces one that waits", async () => {
    const store = newStore();
    await store.open();
    store.write(host("a", 1));
    store.write(host("a", 2));
    expect(store.queued).toBe(1);
    await until(() => store.queued === 0);
    expect(await rows("select priority from hosts")).toEqual([{ priority: 2 }]);
  });

  test("numbers the writes of each run of this gateway without gaps, and its stamps continue after a restart", async () => {
    const first = newStore();
    await first.open();
    for (const id of ["a", "b", "c"]) first.write(host(id));
    await first.close();
    const second = newStore();
    await second.open();
    second.write(host("d"));
    await second.close();
    expect(await rows("select seq from t_hosts order by id")).toEqual([1, 2, 3, 1].map((seq) => ({ seq })));
    expect(await rows("select count(distinct origin) as runs from t_hosts")).toEqual([{ runs: 2 }]);
    const stamps = await rows("select hlc from t_hosts order by id");
    expect(stamps.map(({ hlc }) => String(hlc))).toEqual(stamps.map(({ hlc }) => String(hlc)).sort());
  });

  test("keeps the first sight of an epoch; its address may change, and an owner that a host has proved replaces another", async () => {
    const store = newStore();
    await store.open();
    store.write(epoch(1, "a"));
    await store.flush();
    store.write(putEpoch({ service: "notes", epoch: 1, host: "a", dataUrl: "http://elsewhere", firstSeenAtMs: 99 }));
    store.write(epoch(2, "a"));
    store.write(putEpoch({ service: "notes", epoch: 2, host: "b", dataUrl: "http://b", firstSeenAtMs: 99 }));
    await store.close();
    expect(await rows("select host, data_url, first_seen_at_ms from t_epochs")).toEqual([
      { host: "a", data_url: "http://elsewhere", first_seen_at_ms: 1 },
      { host: "b", data_url: "http://b", first_seen_at_ms: 99 },
    ]);
  });

  test("reports a path that cannot be a database in its status, not as an exception, and writes what is pending once it can", async () => {
    mkdirSync(path, { recursive: true }); // a folder where the file should be
    const store = newStore();
    await store.open();
    expect(store.failure).toContain(path);
    store.write(host("a"));
    await store.flush();
    expect(store.queued).toBe(1);
    rmSync(path, { recursive: true });
    await store.flush();
    expect(store.failure).toBeUndefined();
    expect(await rows("select id from hosts")).toEqual([{ id: "a" }]);
  });

  test("a file that is deleted under a running gateway is written again with all rows, and a notice says so", async () => {
    const store = newStore();
    await store.open();
    store.write(host("a"));
    await store.flush();
    for (const name of readdirSync(join(folder, "below"))) rmSync(join(folder, "below", name));
    store.write(host("b"));
    await store.flush();
    expect([store.failure, store.queued]).toEqual([undefined, 0]);
    expect(store.warnings.join()).toContain("was deleted or moved while the gateway ran");
    expect(await rows("select id from hosts order by id")).toEqual([{ id: "a" }, { id: "b" }]);
  });

  test("a file that is no database is set aside unchanged, and a new one is created", async () => {
    mkdirSync(join(folder, "below"));
    writeFileSync(
      path,
      "this is not a database, whatever its name says; it has to be long enough to have a header of SQLite's size, hence these words",
    );
    const before = readFileSync(path, "utf8");
    const store = newStore();
    await store.open();
    expect(store.failure).toBeUndefined();
    expect(store.warnings.join()).toContain("set aside as");
    store.write(host("a"));
    await store.close();
    expect(await rows("select id from hosts")).toEqual([{ id: "a" }]);
    const aside = readdirSync(join(folder, "below")).filter((name) => name.includes("damaged"));
    expect(aside.map((name) => readFileSync(join(folder, "below", name), "utf8"))).toEqual([before]);
  });

  test("a database whose pages were overwritten is set aside", async () => {
    const first = newStore();
    await first.open();
    for (let n = 0; n < 200; n++) first.write(event(`e${n}`));
    await first.close();
    await rows("pragma wal_checkpoint(truncate)");
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 4096, 4096 * 6);
    writeFileSync(path, bytes);
    const store = newStore();
    await store.open();
    expect(store.warnings.join()).toContain("was damaged");
    expect(store.failure).toBeUndefined();
  });

  test("claims on disk only rows that are on disk with the claim", async () => {
    const store = newStore();
    await store.open();
    for (let n = 0; n < 450; n++) store.write(event(`e${n}`));
    await store.flush();
    // 200 of 450 are written: nothing may be claimed yet.
    expect(await rows("select count(*) as n from t_vector")).toEqual([{ n: 0 }]);
    await store.close();
    expect(await rows("select seq from t_vector")).toEqual([{ seq: 450 }]);
    const again = newStore();
    await again.open();
    expect(again.replica.vector).toEqual(store.replica.vector);
  });

  test("drops the oldest events first when the queue is full, counts them, and keeps the rest", async () => {
    mkdirSync(path, { recursive: true });
    const store = newStore();
    await store.open();
    store.write(host("a"));
    for (let i = 0; i < queuedWritesMax + 4; i++) store.write(event(`e${i}`));
    expect(store.queued).toBe(queuedWritesMax);
    expect(store.dropped).toBe(5);
    rmSync(path, { recursive: true });
    await store.close();
    expect(
      await rows("select (select count(*) from t_hosts) as hosts, (select count(*) from t_events) as events"),
    ).toEqual([{ hosts: 1, events: queuedWritesMax - 1 }]);
  });
});

describe("migrations", () => {
  test("the embedded ones are those of the folder", () => {
    const source = readFileSync(new URL("../../../src/gateway/state/migrations.ts", import.meta.url), "utf8");
    expect(source).toBe(embeddedMigrations());
  });

  test("give exactly the columns that the schema has", async () => {
    await newStore().open();
    for (const table of [
      schema.services,
      schema.hosts,
      schema.gateways,
      schema.health,
      schema.epochs,
      schema.failovers,
      schema.events,
      schema.tokens,
      schema.audit,
    ]) {
      const columns = await rows(`select name from pragma_table_info('${getTableName(table)}') order by name`);
      const wanted = Object.values(getTableColumns(table))
        .map(({ name }) => ({ name }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(columns).toEqual(wanted);
    }
  });

  test("run once each, and every view can be read", async () => {
    const store = newStore();
    await store.open();
    await store.close();
    await newStore().open();
    for (const view of [
      "cluster",
      "services",
      "hosts",
      "health",
      "epochs",
      "failovers",
      "events",
      "gateways",
      "tokens",
      "audit",
    ]) {
      expect(await rows(`select count(*) as n from "${view}"`)).toEqual([{ n: 0 }]);
    }
  });

  test("a database of a newer version is refused and left alone", async () => {
    const client = createClient({ url: `file:${join(folder, "newer.db")}` });
    await migrate(client, [
      { name: "0000_a", sql: "create table a (x)" },
      { name: "0001_b", sql: "create table b (x)" },
    ]);
    await expect(migrate(client, [{ name: "0000_a", sql: "create table a (x)" }])).rejects.toThrow(NewerDatabaseError);
    client.close();
  });

  test("leave nothing behind when one fails in the middle", async () => {
    const client = createClient({ url: `file:${join(folder, "half.db")}` });
    const broken = { name: "0000_a", sql: "create table a (x);\n--> statement-breakpoint\ncreate table a (x)" };
    await expect(migrate(client, [broken])).rejects.toThrow();
    await migrate(client, [{ name: "0000_a", sql: "create table a (x)" }]);
    client.close();
  });
});

describe("the hybrid clock", () => {
  test("never goes back when the wall clock does, and overtakes every stamp that it has seen", () => {
    const walls = [1000, 1000, 999, 5, 1001];
    const clock = new HybridClock(() => walls.shift() ?? 1001);
    const stamps = [clock.next(), clock.next(), clock.next(), clock.next(), clock.next()];
    clock.observe("000000000009999-00000007");
    stamps.push("000000000009999-00000007", clock.next());
    expect(stamps).toEqual([...stamps].sort());
    expect(new Set(stamps).size).toBe(stamps.length);
  });
});

describe("the documentation", () => {
  test("names every column of every view", async () => {
    await newStore().open();
    const text = readFileSync(new URL("../../../docs/GATEWAY-API.md", import.meta.url), "utf8");
    for (const view of [
      "cluster",
      "services",
      "hosts",
      "health",
      "epochs",
      "failovers",
      "events",
      "gateways",
      "tokens",
      "audit",
    ]) {
      const columns = (await rows(`select name from pragma_table_info('${view}')`)).map(
        ({ name }) => `\`${String(name)}\``,
      );
      const line = text
        .split("\n")
        .find((each) => each.startsWith(`| \`${view}\` |`))
        ?.replace(" (a keyword: quote it)", "");
      expect(line).toBe(`| \`${view}\` | ${columns.join(", ")} |`);
    }
  });
});
