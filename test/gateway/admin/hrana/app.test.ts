import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createClient, type Client } from "@libsql/client";
import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { parameterNames } from "../../../../src/gateway/state/sql-statement.ts";
import { secret, TestCluster, until } from "../../../support/gateway/cluster.ts";

const views = [
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
];
let cluster: TestCluster;
let client: Client;
let base: string;
beforeAll(async () => {
  cluster = new TestCluster();
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
  await cluster.startGateway();
  await cluster.serving();
  base = `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
  client = createClient({ url: base, authToken: secret });
  await until(async () => (await client.execute("select 1 from health where health = 'up'")).rows.length === 2);
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});

const post = (version: string, body: unknown, authorization = `Bearer ${secret}`): Promise<Response> =>
  fetch(`${base}/${version}/pipeline`, {
    method: "POST",
    headers: { authorization },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
interface Answer {
  readonly baton: string | null;
  readonly results: readonly {
    readonly type: string;
    readonly error?: { readonly code: string };
    readonly response?: Record<string, unknown>;
  }[];
}
const pipeline = async (...requests: readonly unknown[]): Promise<Answer> =>
  (await (await post("v3", { baton: null, requests })).json()) as Answer;
const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "done",
    (error: { code?: string }) => error.code,
  );
const endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n";

describe("@libsql/client", () => {
  test("reads every documented view, with the columns that `stead sql` shows", async () => {
    for (const view of views) {
      const found = await client.execute(`select * from "${view}"`);
      const own = await cluster.client.sql({ sql: `select * from "${view}"` });
      if (own.kind !== "ok") throw new Error(view);
      expect([view, found.columns]).toEqual([view, own.value.columns]);
    }
    expect(
      (await client.execute('select "primary", epoch from cluster')).rows.map((row) => [row["primary"], row["epoch"]]),
    ).toEqual([["a", 1]]);
  });

  test("binds parameters by position and by name, and keeps every type", async () => {
    expect(
      [
        ...(await client.execute({ sql: "select id from hosts where id = ? and service = ?", args: ["b", "notes"] }))
          .rows,
      ].map((row) => row["id"]),
    ).toEqual(["b"]);
    const named = await client.execute({
      sql: "select :text as t, $number as n, @none as z, :blob as b",
      args: { text: "é'\u0000", number: 1.5, none: null, blob: new Uint8Array([0, 255]) },
    });
    expect([
      named.rows[0]?.["t"],
      named.rows[0]?.["n"],
      named.rows[0]?.["z"],
      [...new Uint8Array(named.rows[0]?.["b"] as ArrayBuffer)],
    ]).toEqual(["é'\u0000", 1.5, null, [0, 255]]);
    const exact = createClient({ url: base, authToken: secret, intMode: "bigint" });
    expect(
      (await exact.execute({ sql: "select ? as big, typeof(?1) as t, 1.0 as f", args: [9223372036854775807n] }))
        .rows[0],
    ).toMatchObject({ big: 9223372036854775807n, t: "integer", f: 1 });
    exact.close();
  });

  test("every write is refused, and nothing has changed", async () => {
    for (const statement of [
      "delete from t_hosts",
      "with x as (select 1) delete from t_hosts",
      "insert into t_hosts default values",
      "drop view hosts",
      "attach ':memory:' as x",
      "pragma query_only = off",
      "vacuum",
      "begin",
    ]) {
      expect([statement, await codeOf(client.execute(statement))]).toEqual([
        statement,
        statement === "begin" ? "SQL_TRANSACTION_OPEN" : "SQLITE_READONLY",
      ]);
    }
    expect(await codeOf(client.execute("select 1; delete from t_hosts"))).toBe("SQL_MANY_STATEMENTS");
    expect(await codeOf(client.executeMultiple("delete from t_hosts; delete from t_epochs"))).toBe("SQLITE_READONLY");
    expect(await codeOf(client.batch(["select 1", "delete from t_hosts"], "write"))).toBe("SQLITE_READONLY");
    expect(await codeOf(client.batch(["select 1", "delete from t_hosts"], "read"))).toBe("SQLITE_READONLY");
    expect((await client.execute("select count(*) as n from hosts")).rows[0]?.["n"]).toBe(2);
  });

  test("a batch is one snapshot; an interactive transaction is refused and leaves nothing open", async () => {
    const [hosts, epochs] = await client.batch(
      ["select count(*) as n from hosts", { sql: "select epoch from epochs where host = ?", args: ["a"] }],
      "read",
    );
    expect([hosts?.rows[0]?.["n"], epochs?.rows[0]?.["epoch"]]).toEqual([2, 1]);
    const transaction = await client.transaction("read");
    expect(await codeOf(transaction.execute("select 1"))).toBe("SQL_TRANSACTION_OPEN");
    expect((await client.batch(["select 1 as one"], "read"))[0]?.rows[0]?.["one"]).toBe(1);
  });

  test("a statement over the time limit is ended, and the next one works", async () => {
    expect(await codeOf(client.execute(endless))).toBe("SQL_TIMEOUT");
    expect((await client.execute("select 1 as one")).rows[0]?.["one"]).toBe(1);
  }, 15_000);

  test("too many rows, a wrong secret and unknown names give typed errors", async () => {
    expect(
      await codeOf(client.execute("with recursive n(x) as (select 1 union all select x + 1 from n) select x from n")),
    ).toBe("SQL_ROWS_LIMIT");
    expect(await codeOf(client.execute("select zeroblob(4000000)"))).toBe("SQL_RESULT_TOO_LARGE");
    expect(await codeOf(client.execute("select * from nowhere"))).toBe("SQLITE_ERROR");
    const stranger = createClient({ url: base, authToken: "another secret" });
    expect(await codeOf(stranger.execute("select 1"))).toBe("SERVER_ERROR");
    stranger.close();
  });
});

describe("drizzle", () => {
  const hosts = sqliteTable("hosts", {
    service: text("service"),
    id: text("id"),
    priority: integer("priority"),
    role: text("role"),
  });

  test("selects from a view, with conditions and a batch, and cannot write", async () => {
    const database = drizzle(client);
    expect(await database.select({ id: hosts.id, role: hosts.role }).from(hosts).where(eq(hosts.id, "a"))).toEqual([
      { id: "a", role: "primary" },
    ]);
    expect(await database.all<{ n: number }>(sql`select count(*) as n from epochs where host = ${"a"}`)).toEqual([
      { n: 1 },
    ]);
    const [first, second] = await database.batch([
      database.select({ id: hosts.id }).from(hosts).orderBy(hosts.id),
      database.select({ id: hosts.id }).from(hosts).limit(1),
    ]);
    expect([first.map(({ id }) => id), second.length]).toEqual([["a", "b"], 1]);
    const refused: unknown = await database
      .insert(hosts)
      .values({ id: "x" })
      .then(
        () => "written",
        (error: { cause?: { code?: string } }) => error.cause?.code,
      );
    expect(refused).toBe("SQLITE_READONLY");
    expect((await database.select().from(hosts)).length).toBe(2);
  });
});

describe("the protocol", () => {
  test("version checks need no secret and reveal nothing; protobuf is not offered; pipelines need the secret", async () => {
    for (const version of ["v2", "v3"]) {
      expect((await fetch(`${base}/${version}`)).status).toBe(200);
      for (const authorization of ["", "Bearer x", secret])
        expect((await post(version, { requests: [] }, authorization)).status).toBe(401);
    }
    expect((await fetch(`${base}/v3-protobuf`)).status).toBe(404);
    expect((await post("v3-protobuf", "")).status).toBe(404);
  });

  test("malformed pipelines are 400 with a message and a code", async () => {
    const nested = `{"requests":[{"type":"batch","batch":{"steps":[{"stmt":{"sql":"select 1"},"condition":${'{"type":"not","cond":'.repeat(1000)}{"type":"is_autocommit"}${"}".repeat(1000)}}]}}]}`;
    for (const body of [
      "",
      "{",
      "[]",
      '{"requests":[{"type":"fly"}]}',
      '{"requests":[{"type":"execute","stmt":{"sql":"select ?","args":[{"type":"integer","value":"1.5"}]}}]}',
      nested,
    ]) {
      const answer = await post("v2", body);
      expect([answer.status, Object.keys((await answer.json()) as object)]).toEqual([400, ["message", "code"]]);
    }
  });

  test("a baton is valid for one request, keeps stored texts, and ends with close", async () => {
    const first = await pipeline({ type: "store_sql", sql_id: 7, sql: "select 7 as seven" });
    const request = {
      baton: first.baton,
      requests: [
        { type: "execute", stmt: { sql_id: 7 } },
        { type: "close_sql", sql_id: 7 },
        { type: "execute", stmt: { sql_id: 7 } },
        { type: "close" },
        { type: "get_autocommit" },
      ],
    };
    const second = (await (await post("v3", request)).json()) as Answer;
    expect(second.baton).toBeNull();
    expect(second.results.map(({ type, error }) => error?.code ?? type)).toEqual([
      "ok",
      "ok",
      "SQL_NOT_STORED",
      "ok",
      "STREAM_CLOSED",
    ]);
    const again = await post("v3", request);
    expect([again.status, ((await again.json()) as { code: string }).code]).toEqual([400, "STREAM_EXPIRED"]);
    expect((await post("v3", { baton: "guessed", requests: [] })).status).toBe(400);
  });

  test("conditions decide which steps of a batch run", async () => {
    const step = (statement: string, condition?: unknown) => ({ stmt: { sql: statement }, condition });
    const answer = await pipeline({
      type: "batch",
      batch: {
        steps: [
          step("select * from nowhere"),
          step("select 1", { type: "ok", step: 0 }),
          step("select 2", { type: "error", step: 0 }),
          step("select 3", {
            type: "and",
            conds: [{ type: "is_autocommit" }, { type: "not", cond: { type: "ok", step: 1 } }],
          }),
          step("begin"),
          step("select 4", { type: "or", conds: [{ type: "is_autocommit" }, { type: "error", step: 3 }] }),
          step("rollback"),
        ],
      },
    });
    const { result } = answer.results[0]?.response as { result: { step_results: unknown[]; step_errors: unknown[] } };
    expect(result.step_results.map((each) => each !== null)).toEqual([false, false, true, true, true, false, true]);
    expect(result.step_errors.map((each) => each !== null)).toEqual([true, false, false, false, false, false, false]);
  });

  test("describe gives columns and parameters and refuses statements that write; sequence reads one statement", async () => {
    const answer = await pipeline(
      { type: "describe", sql: "select id, priority from hosts where id = :id and service = ?" },
      { type: "describe", sql: "delete from t_hosts" },
      { type: "sequence", sql: "select 1;" },
      { type: "get_autocommit" },
    );
    expect(answer.results[0]?.response).toMatchObject({
      result: {
        params: [{ name: ":id" }, { name: null }],
        cols: [{ name: "id", decltype: "TEXT" }, { name: "priority" }],
        is_explain: false,
        is_readonly: true,
      },
    });
    expect(answer.results.map(({ type, error }) => error?.code ?? type)).toEqual(["ok", "SQLITE_READONLY", "ok", "ok"]);
    expect(answer.results[3]?.response).toEqual({ type: "get_autocommit", is_autocommit: true });
  });

  test("parameters are numbered as SQLite does", () => {
    expect(parameterNames("select ?3, :a, ?, ':b', :a -- ?\n")).toEqual([null, null, null, ":a", null]);
  });
});
