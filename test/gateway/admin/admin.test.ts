import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { GatewayClient } from "../../../src/control/gateway-client.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { faultOfStatement } from "../../../src/gateway/state/sql-statement.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
let client: GatewayClient;
let base: string;
beforeAll(async () => {
  cluster = new TestCluster();
  await Promise.all([
    cluster.addHost("a", { priority: 1 }),
    cluster.addHost("b"),
    cluster.addHost("c", { nofailover: true }),
  ]);
  await cluster.startGateway();
  await cluster.serving();
  await until(() => cluster.service().hosts.every(({ role, lag }) => role !== null && lag === 0));
  client = cluster.client;
  base = `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
});
afterAll(() => cluster.stop());

const call = (method: string, path: string, body?: string, authorization = `Bearer ${secret}`): Promise<Response> =>
  fetch(`${base}${path}`, { method, headers: { authorization }, ...(body === undefined ? {} : { body }) });

describe("the admin API", () => {
  test("reveals nothing without the secret, except its health", async () => {
    for (const authorization of ["", "Bearer ", `Bearer ${secret}x`, secret, `bearer ${secret}`]) {
      for (const path of ["/v1/cluster", "/v1/hosts", "/metrics", "/v1/nothing"]) {
        expect((await call("GET", path, undefined, authorization)).status).toBe(401);
      }
    }
    const health = await call("GET", "/health", undefined, "");
    expect([health.status, await health.json()]).toEqual([
      200,
      { ok: true, services: [{ service: "notes", ok: true, reasons: [] }] },
    ]);
    const liveness = await call("GET", "/liveness", undefined, "");
    expect([liveness.status, await liveness.json()]).toEqual([200, { ok: true }]);
    expect(await new GatewayClient(base, "another secret", systemClock).cluster()).toMatchObject({
      kind: "unauthorized",
    });
  });

  test("refuses malformed requests with what is wrong", async () => {
    for (const [path, body] of [
      ["/v1/switchover", "{"],
      ["/v1/switchover", '{"hots":"a"}'],
      ["/v1/failover", '{"force":"yes"}'],
      ["/v1/hosts", '{"id":"x","controlUrl":"not a url"}'],
      ["/v1/hosts", '{"id":"x","controlUrl":"http://a/with/path"}'],
      ["/v1/sql", "{}"],
      ["/v1/sql", '{"sql":"select 1","rowsMax":100000000}'],
    ] as const) {
      const answer = await call("POST", path, body);
      expect([path, body, answer.status]).toEqual([path, body, 400]);
      expect(await answer.json()).toEqual({
        error: expect.any(String) as unknown,
        code: "malformed",
        advice: "see docs/openapi for the body of this call",
      });
    }
    expect((await call("POST", "/v1/pause", '{"service":"unregistered"}')).status).toBe(404);
    expect((await call("GET", "/v1/nothing")).status).toBe(404);
    expect((await call("POST", "/v1/sql", JSON.stringify({ sql: `select '${"x".repeat(300_000)}'` }))).status).toBe(
      413,
    );
  });

  test("shows the cluster", async () => {
    const answer = await client.cluster();
    expect(answer).toMatchObject({
      kind: "ok",
      value: {
        gateway: "g1",
        troubles: [],
        services: [{ name: "notes", phase: "serving", primary: "a", routedTo: "a" }],
      },
    });
    if (answer.kind !== "ok") throw new Error("no answer");
    expect(
      answer.value.services[0]?.hosts.map(({ id, role, health, lag, nofailover }) => ({
        id,
        role,
        health,
        lag,
        nofailover,
      })),
    ).toEqual([
      { id: "a", role: "primary", health: "up", lag: 0, nofailover: false },
      { id: "b", role: "secondary", health: "up", lag: 0, nofailover: false },
      { id: "c", role: "secondary", health: "up", lag: 0, nofailover: true },
    ]);
  });

  test("names the host that a failover would promote, and why no other host would be", async () => {
    expect(await client.dryRun({})).toMatchObject({
      kind: "ok",
      value: {
        primary: "a",
        wouldPromote: "b",
        order: ["b"],
        whyNot: [{ host: "c", why: "nofailover is set" }],
        expected: [
          { kind: "kill", host: "b" },
          { kind: "hang", host: "b" },
          { kind: "switchover", host: "b" },
        ],
      },
    });
  });

  test("says without a change what a switchover would do, and why not to a host that could not take over", async () => {
    expect(await client.switchoverDryRun({ host: "b" })).toMatchObject({ kind: "ok", value: { wouldPromote: "b" } });
    expect(await client.switchoverDryRun({ host: "c" })).toMatchObject({
      kind: "ok",
      value: { wouldPromote: null, expected: [], whyNot: [{ host: "c", why: "nofailover is set" }] },
    });
    expect(await client.cluster()).toMatchObject({ value: { services: [{ primary: "a", epoch: 1 }] } });
  });

  test("refuses impossible orders, with a reason and advice", async () => {
    expect(await client.failover({})).toMatchObject({
      kind: "refused-by-gateway",
      status: 409,
      code: "conflict",
      error: "the primary a is serving",
    });
    expect(await client.switchover({ host: "c" })).toMatchObject({
      kind: "refused-by-gateway",
      status: 409,
      error: "c: nofailover is set",
    });
    expect(await client.removeHost("notes", "a")).toMatchObject({ kind: "refused-by-gateway", status: 409 });
    expect(await client.removeHost("notes", "unregistered")).toMatchObject({ status: 404, code: "unknown-host" });
    expect(await client.pause({ service: "unregistered" })).toMatchObject({
      status: 404,
      code: "unknown-service",
      accepted: "notes",
    });
    expect(await client.checkpoint({ host: "unregistered" })).toMatchObject({
      kind: "refused-by-gateway",
      status: 404,
    });
  });

  test("adds and removes hosts, and watches them at once", async () => {
    const added = await client.addHost({ id: "d", controlUrl: "http://127.0.0.1:9", priority: 7 });
    expect(added).toMatchObject({ kind: "ok" });
    await until(() => cluster.service().hosts.find(({ id }) => id === "d")?.health === "down");
    expect((await client.hosts()).kind === "ok").toBe(true);
    expect(await client.removeHost("notes", "d")).toMatchObject({ kind: "ok" });
    expect(cluster.service().hosts.map(({ id }) => id)).toEqual(["a", "b", "c"]);
  });

  test("forwards the order for a checkpoint to the primary", async () => {
    expect(await client.checkpoint({})).toMatchObject({
      kind: "ok",
      value: { host: "a", position: 10, chunksWritten: 1 },
    });
  });

  test("gives its counters as Prometheus text", async () => {
    await cluster.ask();
    const text = await (await call("GET", "/metrics")).text();
    expect(text).toMatch(/^stead_requests_total\{service="notes",end="ok"\} [1-9]\d*$/m);
    expect(text).toContain('stead_host_primary{service="notes",host="a"} 1');
    expect(text).toContain('stead_epoch{service="notes"} 1');
    expect(text).toContain('stead_failovers_total{service="notes"} 1\n');
    for (const line of text.trim().split("\n"))
      expect(line).toMatch(/^(|# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? -?[\d.e+]+)$/);
  });
});

describe("SQL", () => {
  const rows = async (sql: string, change = {}) => {
    const answer = await client.sql({ sql, ...change });
    if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
    return answer.value;
  };

  test("shows registry, health, epochs and the failover", async () => {
    await until(async () => (await rows("select 1 from health where health = 'up'")).rows.length === 3);
    expect((await rows('select service, "primary", epoch, hosts, hosts_up, paused from cluster')).rows).toEqual([
      ["notes", "a", 1, 3, 3, 0],
    ]);
    expect((await rows("select epoch, host from epochs")).rows).toEqual([[1, "a"]]);
    expect((await rows("select kind, outcome, to_host, claim_ms from failovers")).rows).toEqual([
      ["first", "done", "a", 1],
    ]);
  });

  test("gives columns even without rows, blobs and large integers without loss, and stops at the row limit", async () => {
    expect(await rows("select 1 as one where 0")).toEqual({ columns: ["one"], rows: [], truncated: false });
    expect((await rows("select x'00ff', 9007199254740993, 1.5, null, 'é'")).rows).toEqual([
      [{ base64: "AP8=" }, "9007199254740993", 1.5, null, "é"],
    ]);
    const limited = await rows("with recursive n(x) as (select 1 union all select x + 1 from n) select x from n", {
      rowsMax: 3,
    });
    expect(limited).toEqual({ columns: ["x"], rows: [[1], [2], [3]], truncated: true });
  });

  test("only reads: a statement that writes or attaches is refused, and so is a second statement behind the first", async () => {
    for (const sql of [
      "delete from t_hosts",
      "with x as (select 1) delete from t_hosts",
      "attach database '/tmp/x.db' as x",
      "pragma query_only = off",
      "select 1; delete from t_hosts",
      "/* select */ drop table t_hosts",
      "",
      "select * from no_such_table",
    ]) {
      expect([sql, (await client.sql({ sql: sql === "" ? " " : sql })).kind]).toEqual([sql, "refused-by-gateway"]);
    }
    expect((await rows("select count(*) from hosts")).rows).toEqual([[3]]);
  });

  test("an endless query is ended at its time limit, routing continues meanwhile, and the next query works", async () => {
    const endless = client.sql({
      sql: "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n",
      timeoutMs: 200,
    });
    expect((await cluster.ask()).status).toBe(200);
    expect(await endless).toMatchObject({
      kind: "refused-by-gateway",
      error: "the query took longer than 200 ms and was ended",
    });
    expect((await rows("select 1")).rows).toEqual([[1]]);
  });

  test("a single reading statement is distinguished from all others", () => {
    expect(faultOfStatement("-- a comment\n select ';' ; -- and another")).toBeUndefined();
    expect(faultOfStatement("values (1)")).toBeUndefined();
    expect(faultOfStatement('select "a;b", [c;d], `e;f`')).toBeUndefined();
    expect(faultOfStatement("select 1; select 2")?.code).toBe("SQL_MANY_STATEMENTS");
    expect(faultOfStatement("vacuum into 'x'")?.message).toContain("VACUUM");
    expect(faultOfStatement("")?.message).toContain("nothing");
  });
});
