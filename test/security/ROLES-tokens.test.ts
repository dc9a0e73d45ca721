/**
 * Attack: a revoked or expired token continues to work; a gateway that was away brings it back; a reader of the
 * gateway's database finds tokens there.
 *
 * Rule: a row has the hash of a token only, no statement reads it, and a revocation wins over its token in every order
 * of arrival and whatever the clocks said (src/gateway/state/token-book.ts).
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createClient } from "@libsql/client";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stampAheadMsMax } from "../../src/core/replication/row.ts";
import { decodeRows, encodeRows } from "../../src/gateway/peers/wire.ts";
import { fileDisk } from "../../src/gateway/state/replication-disk.ts";
import { tombstonesKeptMs } from "../../src/gateway/state/retention.ts";
import { StateStore } from "../../src/gateway/state/store.ts";
import { TokenBook, tokensMax } from "../../src/gateway/state/token-book.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { runStead } from "../support/cli/run-cli.ts";
import { secret, TestCluster, until } from "../support/gateway/cluster.ts";

const hour = 3_600_000;

describe("the book of tokens", () => {
  let folder: string;
  const opened: StateStore[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "stead-tokens-"));
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
    rmSync(folder, { recursive: true, force: true });
  });

  /** A gateway whose wall clock can be moved. */
  async function gateway(id: string) {
    const at = { ms: systemClock.wallTime() };
    const clock = { ...clockOf(), wallTime: () => at.ms };
    const store = new StateStore({
      disk: fileDisk(join(folder, `${id}.db`)),
      gateway: id,
      clock,
      random: systemRandom,
    });
    opened.push(store);
    await store.open();
    return { store, at, book: new TokenBook(store, clock, systemRandom) };
  }
  const clockOf = () => ({
    now: () => systemClock.now(),
    sleep: (ms: number) => systemClock.sleep(ms),
    setTimer: (ms: number, run: () => void) => systemClock.setTimer(ms, run),
  });
  const add = (book: TokenBook, name = "ci", expiresAtMs?: number) => {
    const added = book.add({ name, role: "operator", createdBy: "secret", expiresAtMs });
    if (added.kind !== "added") throw new Error(added.kind);
    return added;
  };

  test("accepts a token until it expires or is revoked, and nothing that resembles it", async () => {
    const { book, at } = await gateway("g1");
    const { token, entry } = add(book, "ci", at.ms + hour);
    expect(book.find(token)).toEqual({ kind: "token", id: entry.id, name: "ci", role: "operator" });
    const other = add(book, "other").token;
    const mixed = other.slice(0, 23) + token.slice(23);
    const changed = token.slice(0, -1) + (token.endsWith("A") ? "B" : "A");
    for (const wrong of [
      "",
      token.slice(1),
      `${token}x`,
      token.toUpperCase(),
      mixed,
      changed,
      `stead_${"0".repeat(16)}_${"x".repeat(43)}`,
    ])
      expect([wrong, book.find(wrong)]).toEqual([wrong, undefined]);
    at.ms += hour;
    expect(book.find(token)).toBeUndefined();
    expect(book.list().map(({ name }) => name)).toEqual(["other"]);
    expect(book.revoke("other").length).toBe(1);
    expect(book.find(other)).toBeUndefined();
  });

  test("a name is one valid token's, the number of them is bounded, and `secret` is no name", async () => {
    const { book } = await gateway("g1");
    const request = { role: "viewer", createdBy: "secret", expiresAtMs: undefined } as const;
    add(book);
    expect(book.add({ ...request, name: "ci" }).kind).toBe("name-taken");
    expect(book.add({ ...request, name: "secret" }).kind).toBe("name-taken");
    book.revoke("ci");
    expect(add(book).entry.name).toBe("ci");
    for (let n = 1; n < tokensMax; n++) add(book, `t${n}`);
    expect(book.add({ ...request, name: "one-more" }).kind).toBe("full");
  });

  test("a revocation wins over its token in every order, whatever the clocks said", async () => {
    for (const skewMs of [0, -hour, hour, stampAheadMsMax - hour]) {
      const a = await gateway(`a${skewMs < 0 ? "m" : ""}${Math.abs(skewMs)}`);
      a.at.ms += skewMs;
      const { token, entry } = add(a.book);
      const given = a.store.replica.get("tokens", entry.id);
      if (given === undefined) throw new Error("no row");
      const b = await gateway(`b${skewMs < 0 ? "m" : ""}${Math.abs(skewMs)}`);
      b.store.applied(b.store.replica.merge([given]));
      expect(b.book.find(token)?.name).toBe("ci");
      // Its stamp may be older than that of the token: the clock is behind, and the token's stamp is not followed.
      const revoked = { ...given, deleted: true, origin: "b~1", seq: 1, hlc: "000000000000001-00000000" };
      for (const order of [
        [given, revoked],
        [revoked, given],
        [given, revoked, given],
      ]) {
        const c = await gateway(`c${opened.length}`);
        for (const row of order) c.store.applied(c.store.replica.merge([row]));
        expect([skewMs, c.book.find(token)]).toEqual([skewMs, undefined]);
        await c.store.flush();
      }
      expect(b.book.revoke("ci").length).toBe(1);
      b.store.applied(b.store.replica.merge([given]));
      expect(b.book.find(token)).toBeUndefined();
    }
  });

  test("a revocation outlasts a restart, and what would bring its token back", async () => {
    const first = await gateway("g1");
    const { token, entry } = add(first.book);
    const given = first.store.replica.get("tokens", entry.id);
    first.book.revoke(entry.id);
    await first.store.close();
    const again = await gateway("g1");
    again.at.ms += tombstonesKeptMs * 12;
    // Enough changes that old rows are looked for.
    for (let n = 0; n < 1_100; n++) again.book.revoke(add(again.book, `t${n}`).entry.id);
    if (given !== undefined) again.store.applied(again.store.replica.merge([given]));
    expect(again.book.find(token)).toBeUndefined();
  });

  test("a token that has expired long ago is forgotten with its revocation", async () => {
    const { store, book, at } = await gateway("g1");
    const { entry } = add(book, "old", at.ms + hour);
    book.revoke("old");
    at.ms += hour + tombstonesKeptMs + 1;
    for (let n = 0; n < 1_100; n++) add(book, `t${n % 2}`, at.ms + hour), book.revoke(`t${n % 2}`);
    expect(store.replica.get("tokens", entry.id)).toBeUndefined();
  });

  test("travels between gateways as other rows do; a role of a later version gives nothing here", async () => {
    const a = await gateway("a");
    const { token, entry } = add(a.book);
    const row = a.store.replica.get("tokens", entry.id);
    if (row === undefined) throw new Error("no row");
    const decoded = decodeRows(encodeRows([row]), systemClock.wallTime());
    if (decoded.kind !== "ok") throw new Error(decoded.why);
    expect(decoded.rows).toEqual([row]);
    const b = await gateway("b");
    b.store.applied(b.store.replica.merge([{ ...row, values: { ...row.values, role: "owner" } }]));
    expect(b.book.find(token)).toBeUndefined();
    expect(b.book.list()).toEqual([]);
  });
});

describe("tokens at a gateway", () => {
  const cluster = new TestCluster();
  let url = "";
  beforeAll(async () => {
    await cluster.addHost("a");
    await cluster.startGateway();
    await cluster.serving();
    url = `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
  });
  afterAll(() => cluster.stop());

  const stead = (env: Record<string, string>, ...args: readonly string[]) =>
    runStead(args, { env: { STEAD_GATEWAY: url, ...env }, cwd: cluster.folder });
  const root = { STEAD_SECRET: secret };
  const made = async (name: string, role: string): Promise<string> => {
    const run = await stead(root, "token", "add", name, "--role", role, "--valid", "1h");
    expect([run.code, run.err]).toEqual([0, expect.stringContaining(`token ${name}, ${role}, until `)]);
    return run.out.trim();
  };

  test("the commands take one from STEAD_TOKEN or a file, and say which role they need", async () => {
    const viewer = await made("view", "viewer");
    expect((await stead({ STEAD_TOKEN: viewer }, "status")).code).toBe(0);
    const refused = await stead({ STEAD_TOKEN: viewer }, "pause");
    expect([refused.code, refused.err]).toEqual([5, expect.stringContaining("accepted: operator or admin")]);
    expect(cluster.service().paused).toBe(false);
    const operator = await made("ops", "operator");
    writeFileSync(join(cluster.folder, "ops.token"), `${operator}\n`);
    // The flag is nearer than the environment.
    expect((await stead({ STEAD_TOKEN: viewer }, "pause", "--token-file", "ops.token")).code).toBe(0);
    expect((await stead({ STEAD_TOKEN: operator }, "resume")).code).toBe(0);
    expect((await stead({ STEAD_TOKEN: operator }, "token", "list")).code).toBe(5);
    const admin = await made("boss", "admin");
    const list = await stead({ STEAD_TOKEN: admin }, "token", "list");
    expect(
      list.out
        .split("\n")
        .slice(1, 4)
        .map((line) => line.split(/\s+/).slice(0, 2)),
    ).toEqual([
      ["boss", "admin"],
      ["ops", "operator"],
      ["view", "viewer"],
    ]);
  });

  test("what is no token, is not there, or is revoked is refused, each with its own words", async () => {
    const missing = await stead({}, "status", "--token-file", "nothing");
    expect([missing.code, missing.err]).toEqual([3, expect.stringContaining("cannot be read (ENOENT)")]);
    const none = await stead({ STEAD_TOKEN: "hunter2" }, "status");
    expect([none.code, none.err]).toEqual([3, expect.stringContaining("STEAD_TOKEN does not hold a token")]);
    expect(none.err).not.toContain("hunter2");
    const token = await made("gone", "viewer");
    expect((await stead(root, "token", "revoke", "gone")).out).not.toContain("gone");
    const revoked = await stead({ STEAD_TOKEN: token }, "status");
    expect([revoked.code, revoked.err]).toEqual([5, expect.stringContaining("the token was not accepted")]);
    expect((await stead(root, "token", "revoke", "gone")).code).toBe(5);
    for (const args of [
      ["x", "--role", "root", "--valid", "1h"],
      ["x", "--role", "viewer", "--valid", "forever"],
      ["x", "--role", "viewer"],
    ])
      expect([args, (await stead(root, "token", "add", ...args)).code]).toEqual([args, 2]);
    expect((await stead(root, "token", "add", "Not A Name", "--role", "viewer", "--valid", "1h")).code).toBe(5);
  });

  test("libSQL clients and scrapers use one, and no statement reads the hash of it", async () => {
    const token = await made("scraper", "viewer");
    const metrics = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
    expect([metrics.status, await metrics.text()]).toEqual([200, expect.stringContaining("stead_requests")]);
    const client = createClient({ url, authToken: token });
    await until(async () => (await client.execute("select 1 from tokens where name = 'scraper'")).rows.length === 1);
    const { rows } = await client.execute("select role, created_by from tokens where name = 'scraper'");
    expect(rows.map((row): object => ({ ...row }))).toEqual([{ role: "viewer", created_by: "secret" }]);
    for (const sql of [
      "select hash from t_tokens",
      "select * from t_tokens",
      "select 1 from t_tokens where hash like '0%'",
      "with t(a,b,c,hash,e,f,g,h,i,j,k) as (select * from t_tokens) select b from t",
      'select "HASH" from T_TOKENS',
    ])
      expect(
        await client.execute(sql).then(
          () => sql,
          () => "refused",
        ),
      ).toBe("refused");
    client.close();
    await cluster.gateway?.close(0);
    const files = readdirSync(cluster.folder).filter((name) => name.startsWith("gateway.db"));
    for (const name of files)
      expect([name, readFileSync(join(cluster.folder, name)).includes(token.slice(23))]).toEqual([name, false]);
    expect(files.length).toBeGreaterThan(0);
  });
});
