/**
 * Attack: `EXPLAIN PRAGMA …` is not executed, it seems, but SQLite executes most pragmas while it compiles them, and
 * what they change stayed on the connection that answers the next client. Its kind: everything that acts although the
 * text begins with a reading word.
 *
 * Rule: SQLite's authorizer decides what a statement may do (read-only-database.ts), and each request has a connection
 * of its own.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createClient, type Client } from "@libsql/client";
import { secret, TestCluster } from "../support/gateway/cluster.ts";

const cluster = new TestCluster();
let client: Client;
beforeAll(async () => {
  await cluster.startGateway();
  client = createClient({ url: `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`, authToken: secret });
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "done",
    (error: { code?: string }) => error.code,
  );

test("a pragma is refused in every disguise", async () => {
  for (const statement of [
    "explain pragma case_sensitive_like = on",
    "EXPLAIN QUERY PLAN PRAGMA case_sensitive_like = on",
    "explain /* a */ pragma case_sensitive_like = on",
    "explain\n--\npragma cache_size = 1000000",
    "explain explain pragma cache_size = 1000000",
    "select * from pragma_optimize(2)",
    "select * from pragma_integrity_check",
    "with x as (select 1) select * from x, pragma_quick_check(1)",
  ])
    expect([statement, await codeOf(client.execute(statement))]).toEqual([statement, "SQLITE_READONLY"]);
});

test("what one client does is not there for the next one", async () => {
  const like = "select 'a' like 'A' as found";
  const steps = ["explain pragma case_sensitive_like = on", "explain pragma query_only = off", like];
  for (const statement of steps) await codeOf(client.execute(statement));
  expect((await client.execute(like)).rows[0]?.["found"]).toBe(1);
});

test("no reading word hides a write", async () => {
  const copy = join(cluster.folder, "copy.db");
  for (const statement of [
    "with x as (select 1) delete from t_hosts",
    "with x as (select 1) insert into t_hosts default values",
    "explain delete from t_hosts",
    `explain attach '${copy}' as copy`,
    `explain vacuum into '${copy}'`,
    "explain analyze",
    "explain create temp table x as select 1",
    "explain begin",
    "select load_extension('x')",
  ])
    expect(["SQLITE_READONLY", "SQLITE_ERROR"]).toContain((await codeOf(client.execute(statement))) as string);
  expect(existsSync(copy)).toBe(false);
});

test("what describes the schema is answered, also to EXPLAIN", async () => {
  expect((await client.execute("select name from pragma_table_info('hosts')")).rows.length).toBeGreaterThan(3);
  expect((await client.execute("explain query plan select * from hosts")).rows.length).toBeGreaterThan(0);
  expect((await client.execute("explain values (1)")).rows.length).toBeGreaterThan(0);
  expect((await client.execute("select name from sqlite_schema")).rows.length).toBeGreaterThan(5);
});
