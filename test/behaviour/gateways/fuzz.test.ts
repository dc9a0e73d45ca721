/**
 * Messages of gateways that are not what they should be, to a whole gateway: it answers each, believes nothing that its
 * tables cannot hold, and works as before afterwards, also when it starts again from what it has stored.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import type { PeerMessage } from "../../../src/control/peer-api.ts";
import { createAdminApp } from "../../../src/gateway/admin/admin.ts";
import type { Gateway } from "../../../src/gateway/gateway.ts";
import { decodeRows, encodeRows } from "../../../src/gateway/peers/wire.ts";
import { isAccepted, sharedTable, sharedTables } from "../../../src/gateway/state/replication-tables.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

setDefaultTimeout(60_000);

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(() => cluster.stop());

/** Whole numbers below `limit` from a seed (xorshift), so that a failure can be repeated. */
function dice(seed: number): (limit: number) => number {
  let state = (seed * 2654435761) >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const stampOf = (wallTimeMs: number, count: number): string =>
  `${String(wallTimeMs).padStart(15, "0")}-${String(count).padStart(8, "0")}`;

/** A message as a gateway of this version would send it, with a row of every table. */
function wholeMessage(next: (limit: number) => number, service = "notes"): PeerMessage {
  const id = `g${2 + next(3)}`;
  const origin = `${id}~run-of-${id}`;
  const rows = [...sharedTables.values()].map((table, index) => {
    const values = Object.fromEntries(
      table.columns.map(({ name, type, isRequired }) => [
        name,
        isRequired || next(2) === 0
          ? type === "text"
            ? `${name}${next(3)}`
            : type === "boolean"
              ? next(2)
              : next(100)
          : null,
      ]),
    );
    if (table.name === "hosts") values["control_url"] = `http://127.0.0.1:${1 + next(5)}`;
    if (table.name === "gateways") values["admin_url"] = `http://127.0.0.1:${1 + next(5)}`;
    if (table.name !== "gateways" && "service" in values) values["service"] = service;
    if (table.name === "services") values["name"] = service;
    return {
      table: table.name,
      key: "",
      values,
      origin,
      seq: index + 1,
      hlc: stampOf(Math.floor(systemClock.wallTime()) - next(100_000), next(10)),
      deleted: next(5) === 0,
    };
  });
  return {
    format: 1,
    from: { id, origin, adminUrl: "http://127.0.0.1:1", registered: null, leaving: next(10) === 0 },
    vector: next(2) === 0 ? null : { [origin]: rows.length, "g9~old": next(50) },
    known: next(5),
    push: next(4) === 0 ? null : { since: next(2) * 5, upTo: rows.length },
    after: next(3) === 0 ? { origin: "g1~x", arrival: next(9) } : null,
    next: null,
    ...encodeRows(rows),
    views: [
      {
        service,
        primary: "a",
        epoch: next(4),
        sees: "down",
        heard: next(2) === 0 ? null : { epoch: next(4), position: next(50), vault: next(2) === 0 ? null : "v1" },
        forMs: next(5_000),
        seen:
          next(2) === 0
            ? null
            : {
                hosts: [{ host: "a", health: "up", latencyMs: next(9), ageMs: null }],
                gateways: [{ gateway: "g1", ageMs: next(9) }],
              },
      },
    ],
  };
}

const strange: readonly unknown[] = [
  null,
  true,
  -1,
  0.5,
  1e300,
  Number.MAX_SAFE_INTEGER,
  "",
  "\n",
  "\u0000",
  "__proto__",
  "x".repeat(300),
  "http://[::1",
  "999999999999999-99999999",
  [],
  {},
  [[]],
  { hasOwnProperty: 1 },
];

/** Puts something strange at a random place of a JSON value, or takes something away there. */
function mutate(value: unknown, next: (limit: number) => number): unknown {
  if (Array.isArray(value) && value.length > 0 && next(8) > 0) {
    const at = next(value.length);
    const items = value as unknown[];
    return [
      () => items.toSpliced(at, 1),
      () => items.toSpliced(at, 0, items[at]),
      () => items.with(at, mutate(items[at], next)),
    ][Math.min(2, next(6))]?.();
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value) && next(8) > 0) {
    const entries = Object.entries(value);
    const at = next(Math.max(1, entries.length));
    const [name, content] = entries[at] ?? ["", null];
    return Object.fromEntries(
      next(8) === 0
        ? entries.toSpliced(at, 1, [String(strange[next(strange.length)]), content])
        : entries.toSpliced(at, 1, [name, mutate(content, next)]),
    );
  }
  return strange[next(strange.length)];
}

/** Of the right shape, with one cell that may not belong there: what only the tables themselves can tell. */
function withStrangeCell(message: PeerMessage, next: (limit: number) => number): PeerMessage {
  const at = next(message.rows.length);
  const cells = strange.filter((value) => value === null || typeof value === "string" || typeof value === "number");
  const rows = message.rows.map(([table, origin, seq, hlc, deleted, values], index): PeerMessage["rows"][number] => [
    ...([table, origin, seq, hlc, deleted] as const),
    index === at ? values.with(next(values.length), cells[next(cells.length)] ?? null) : values,
  ]);
  return { ...message, rows };
}

const post = (app: ReturnType<typeof createAdminApp>, body: string): Promise<Response> =>
  Promise.resolve(
    app.request("/v1/peer/sync", {
      method: "POST",
      headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
      body,
    }),
  );

async function sendAll(gateway: Gateway, service: string, seeds: number): Promise<void> {
  const app = createAdminApp(gateway);
  const answers = { taken: 0, refused: 0 };
  for (let seed = 1; seed <= seeds; seed++) {
    const next = dice(seed);
    const whole = wholeMessage(next, service);
    let message: unknown = next(2) === 0 ? withStrangeCell(whole, next) : whole;
    for (let count = next(4); count > 0; count--) message = mutate(message, next);
    const response = await post(app, JSON.stringify(message));
    const text = await response.text();
    expect({ seed, status: response.status, text: response.status < 500 ? "" : text }).toEqual({
      seed,
      status: response.status === 409 ? 409 : 200,
      text: "",
    });
    answers[response.status === 200 ? "taken" : "refused"] += 1;
  }
  // The generator must reach both, or it shows nothing.
  expect(answers.taken).toBeGreaterThan(seeds / 10);
  expect(answers.refused).toBeGreaterThan(seeds / 10);
  expect(wrongCells(gateway)).toEqual([]);
  await until(() => gateway.status().database.queued === 0 || gateway.status().database.trouble !== null);
  expect(gateway.status().database.trouble).toBeNull();
}

test("no message makes a gateway fail, brings it rows that its tables cannot hold, or touches a service that it is not about", async () => {
  await cluster.addHost("a");
  const gateway = await cluster.startGateway({ cluster: { name: "stead", acceptBearer: true } });
  await cluster.serving();
  await sendAll(gateway, "other", 2_000);
  expect((await cluster.ask()).host).toBe("a");
  await gateway.close(0);
  const again = await cluster.startGateway({ cluster: { name: "stead", acceptBearer: true } });
  await cluster.serving();
  expect(again.status().database.trouble).toBeNull();
  expect((await cluster.ask()).host).toBe("a");
});

test("nor does a message about its own service, whatever it says of hosts, epochs and views", async () => {
  await cluster.addHost("a");
  const gateway = await cluster.startGateway({ cluster: { name: "stead", acceptBearer: true } });
  await sendAll(gateway, "notes", 2_000);
  await gateway.close(0);
  const again = await cluster.startGateway({ cluster: { name: "stead", acceptBearer: true } });
  expect(again.status().database.trouble).toBeNull();
  expect(again.status().services.map(({ name }) => name)).toEqual(["notes"]);
});

test("rows with a value of the wrong kind are refused whole, with the column that has it", () => {
  const message = wholeMessage(dice(1));
  const wrong = (table: string, column: string, cell: string | number | null): unknown => {
    const rows = message.rows.map((row) =>
      row[0] === table
        ? ([
            ...row.slice(0, 5),
            row[5].with(message.tables[table]?.indexOf(column) ?? -1, cell),
          ] as unknown as typeof row)
        : row,
    );
    return decodeRows({ tables: message.tables, rows }, systemClock.wallTime());
  };
  expect(decodeRows(message, systemClock.wallTime()).kind).toBe("ok");
  for (const [table, column, cell] of [
    ["hosts", "control_url", null],
    ["hosts", "control_url", 5],
    ["hosts", "priority", "high"],
    ["hosts", "nofailover", 2],
    ["epochs", "epoch", 1.5],
    ["failovers", "claim_ms", "soon"],
    ["events", "id", "two\nlines"],
  ] as const) {
    expect(wrong(table, column, cell)).toEqual({
      kind: "unknown",
      why: `a row of "${table}" has a value in ${column} that this version does not know there`,
    });
  }
});

test("nor does an order over the admin API, whatever is in its body; what it adds to the tables other gateways can keep", async () => {
  const gateway = await cluster.startGateway({ cluster: { name: "stead", acceptBearer: true } });
  const app = createAdminApp(gateway);
  const host = { service: "notes", id: "z", controlUrl: "http://127.0.0.1:1", priority: 3, nofailover: false };
  const orders: readonly (readonly [method: string, path: string, body: unknown])[] = [
    ["POST", "/v1/hosts", host],
    ["PATCH", "/v1/hosts/notes/z", { priority: 4, nofailover: true }],
    ["POST", "/v1/failover", { service: "notes", host: "z", force: false, dryRun: true }],
    ["POST", "/v1/pause", { service: "notes" }],
    ["POST", "/v1/checkpoint", { service: "notes", host: "unregistered" }],
  ];
  const answers = { done: 0, refused: 0 };
  for (let seed = 1; seed <= 1_500; seed++) {
    const next = dice(seed);
    const [method, path, whole] = orders[next(orders.length)] ?? orders[0] ?? ["POST", "/v1/hosts", host];
    const body = JSON.stringify(next(3) === 0 ? whole : mutate(whole, next));
    const response = await app.request(path, {
      method,
      headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
      body,
    });
    const text = await response.text();
    expect({ seed, body, text: response.status < 500 ? "" : text }).toEqual({ seed, body, text: "" });
    answers[response.ok ? "done" : "refused"] += 1;
  }
  for (const [id, changed] of [
    ["two\nlines", {}],
    ["y", { priority: 1e300 }],
    ["y", { priority: 2 ** 53 }],
    ["y", { controlUrl: "http://127.0.0.1:1\n" }],
  ] as const) {
    const body = JSON.stringify({ ...host, id, ...changed });
    expect({
      body,
      status: (await app.request("/v1/hosts", { method: "POST", headers: { authorization: `Bearer ${secret}` }, body }))
        .status,
    }).toEqual({ body, status: 400 });
  }
  expect(answers.done).toBeGreaterThan(150);
  expect(answers.refused).toBeGreaterThan(150);
  expect(wrongCells(gateway)).toEqual([]);
  await until(() => gateway.status().database.queued === 0 || gateway.status().database.trouble !== null);
  expect(gateway.status().database.trouble).toBeNull();
});

function wrongCells(gateway: Gateway): string[] {
  const { peers } = gateway;
  const answer = peers.handle({
    ...wholeMessage(dice(7)),
    from: { id: "reader", origin: "reader~1", adminUrl: "http://127.0.0.1:9", registered: null, leaving: false },
    vector: {},
    push: null,
    after: null,
    tables: {},
    rows: [],
    views: [],
  });
  if ("reason" in answer) throw new Error(answer.error);
  return answer.rows.flatMap(([name, , , , , cells]) =>
    sharedTable(name)
      .columns.filter((column, index) => !isAccepted(column, cells[index] ?? null))
      .map((column) => `${name}.${column.name}`),
  );
}

test("a row of a table that the message does not describe is refused, also under a name that every object has", () => {
  const hlc = stampOf(Math.floor(systemClock.wallTime()), 0);
  for (const name of ["constructor", "toString", "__proto__", "hosts"]) {
    expect(decodeRows({ tables: {}, rows: [[name, "g2~run", 1, hlc, 0, ["a"]]] }, systemClock.wallTime())).toEqual({
      kind: "unknown",
      why: `a row of "${name}" does not have its columns`,
    });
  }
});
