/**
 * Attack: an act that leaves no trace; refused calls that hide one by their number.
 *
 * Rule: each call that acts, and each that is refused for its credentials or role, is a row of the audit, and refused
 * ones displace no others (src/gateway/admin/audit.ts, src/gateway/state/retention.ts).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createApi } from "../../src/control/server/api.ts";
import { authenticate, firstOf, clusterSecret, tokenHolders } from "../../src/control/server/authentication.ts";
import { jsonBody } from "../../src/control/server/body.ts";
import { serviceRequestSchema } from "../../src/control/gateway-api.ts";
import { RowReplica } from "../../src/core/replication/replication.ts";
import { type AdminTarget, createAdminApp } from "../../src/gateway/admin/admin.ts";
import { Keyring } from "../../src/control/channel/keyring.ts";
import { ChannelServer } from "../../src/control/channel/server.ts";
import { Audit, refusedListedMax, refusedWindowMs } from "../../src/gateway/admin/audit.ts";
import { authorize } from "../../src/gateway/admin/route-roles.ts";
import { auditKept, outlivedRows } from "../../src/gateway/state/retention.ts";
import type { RowWrite } from "../../src/gateway/state/rows.ts";
import { runStead } from "../support/cli/run-cli.ts";
import { secret, TestCluster, until } from "../support/gateway/cluster.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

describe("the audit of one gateway", () => {
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  function guarded() {
    const clock = new ManualClock();
    const writes: RowWrite["row"][] = [];
    const audit = new Audit({ gateway: "g", clock, log: silent, store: { write: ({ row }) => writes.push(row) } });
    const holders = tokenHolders((token) => ({ kind: "token", id: token, name: token, role: "viewer" }));
    const app = createApi({ part: "gateway", manual: "docs/GATEWAY-API.md", log: silent });
    app.use(audit.watch(), authenticate(firstOf(clusterSecret(secret), holders)), authorize(), audit.begin());
    app.get("/v1/cluster", (c) => c.json({}));
    app.post("/v1/pause", jsonBody(serviceRequestSchema), (c) => {
      if (c.req.valid("json").service === "broken") throw new Error("a defect");
      return c.json({});
    });
    const call = (method: string, path: string, authorization: string, body?: string) =>
      app.request(`http://g${path}`, { method, headers: { authorization }, ...(body === undefined ? {} : { body }) });
    return { audit, clock, writes, call };
  }

  test("has a call that acts when it begins, and its end in the same row", async () => {
    const { writes, call } = guarded();
    await call("POST", "/v1/pause", `Bearer ${secret}`, '{"service":"notes"}');
    const row = { id: "g.0.1", atMs: 0, gateway: "g", who: "secret", role: null, address: null, method: "POST" };
    expect(writes).toEqual([
      { ...row, path: "/v1/pause", subject: null, outcome: "running", status: null, detail: null, calls: 1 },
      {
        ...{ ...row, path: "/v1/pause", subject: '{"service":"notes"}', outcome: "done", status: 200, detail: null },
        calls: 1,
      },
    ]);
  });

  test("tells calls that were refused and that failed, with the reason, and has no readers", async () => {
    const { writes, call } = guarded();
    await call("POST", "/v1/pause", `Bearer ${secret}`, "{");
    await call("POST", "/v1/pause", `Bearer ${secret}`, '{"service":"broken"}');
    await call("GET", "/v1/cluster", "Bearer ann");
    await call("GET", "/v1/nothing", "Bearer ann");
    const ends = writes.filter(({ outcome }) => outcome !== "running");
    expect(ends.map(({ outcome, status, detail }) => [outcome, status, detail])).toEqual([
      ["refused", 400, "the body is not JSON"],
      ["failed", 500, "a defect"],
    ]);
  });

  test("lists some refused calls of each caller, counts the others, and begins again after the window", async () => {
    const { audit, clock, writes, call } = guarded();
    for (let n = 0; n < refusedListedMax + 5; n++) {
      await call("POST", "/v1/pause", "Bearer ann");
      await call("GET", "/v1/cluster", "");
    }
    await call("POST", "/v1/pause", "Bearer bob");
    const of = (who: string | null) => writes.filter((row) => row["who"] === who);
    expect([of("ann").length, of(null).length, of("bob").length]).toEqual([refusedListedMax, refusedListedMax, 1]);
    clock.advance(refusedWindowMs);
    for (const who of ["ann", null])
      expect(of(who).at(-1)).toMatchObject({ outcome: "refused", calls: 5, method: null, path: null });
    expect([clock.timers, of("bob").length]).toEqual([0, 1]);
    await call("POST", "/v1/pause", "Bearer ann");
    expect(of("ann").length).toBe(refusedListedMax + 2);
    audit.close();
    expect(clock.timers).toBe(0);
  });
});

test("refused calls of any number displace no call that was carried out", () => {
  const replica = new RowReplica("g~1");
  const put = (key: string, who: string | null, outcome: string, at: number) =>
    replica.write(
      { table: "audit", key, values: { id: key, who, outcome, at_ms: at }, deleted: false },
      `00000000000000${at % 10}-00000000`,
    );
  put("act", "ops", "done", 0);
  for (let n = 0; n < auditKept.done + 1; n++) put(`unknown${n}`, null, "refused", n + 1);
  for (let n = 0; n < auditKept.refused + 2; n++) put(`refused${n}`, "ann", "refused", n + 1);
  const outlived = outlivedRows(replica, 0).map(({ key }) => key);
  expect(outlived).not.toContain("act");
  expect(outlived.filter((key) => key.startsWith("refused")).toSorted()).toEqual(["refused0", "refused1"]);
  expect(outlived.filter((key) => key.startsWith("unknown")).length).toBe(auditKept.done + 1 - auditKept.unknown);
});

describe("the audit in SQL", () => {
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

  test("has who did what from where and how it ended, also the refused calls, and no handshake of the channel", async () => {
    const made = await stead(root, "token", "add", "eve", "--role", "viewer", "--valid", "1h");
    const eve = { STEAD_TOKEN: made.out.trim() };
    expect((await stead(eve, "pause")).code).toBe(5);
    expect((await stead(root, "pause")).code).toBe(0);
    expect((await stead({ STEAD_SECRET: `${secret}x` }, "resume")).code).toBe(5);
    const sql = "select who, role, address, method, path, outcome, status from audit order by at, id";
    const listed = async (): Promise<unknown[]> => {
      const run = await stead(eve, "sql", "--json", sql);
      if (run.code !== 0) throw new Error(run.err);
      return (JSON.parse(run.out) as { rows: unknown[] }).rows;
    };
    await until(async () => (await listed()).length >= 4);
    const from = "127.0.0.1";
    expect(await listed()).toEqual([
      ["secret", null, from, "POST", "/v1/tokens", "done", 200],
      ["eve", "viewer", from, "POST", "/v1/pause", "refused", 403],
      ["secret", null, from, "POST", "/v1/pause", "done", 200],
      [null, null, from, "POST", "/v1/resume", "refused", 401],
    ]);
  });
});

test("a call that is refused for its certificate is in the audit, before any other credential is judged", async () => {
  const writes: RowWrite["row"][] = [];
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const clock = new ManualClock();
  const app = createAdminApp({
    audit: new Audit({ gateway: "g", clock, log: silent, store: { write: ({ row }) => writes.push(row) } }),
    authenticator: clusterSecret(secret),
    channel: new ChannelServer(new Keyring([secret]), { role: "gateway", id: "g" }, clock),
    tls: { cluster: "prod", expiresAtMs: 0 },
    ...{ clock, log: silent },
  } as unknown as AdminTarget);
  const socket = {
    ...{ encrypted: true, authorized: true, remoteAddress: "10.0.0.7" },
    getPeerCertificate: () => ({ subjectaltname: "URI:stead://prod/host/notes/a" }),
  };
  const headers = { authorization: `Bearer ${secret}` };
  const answer = await app.request("http://g/v1/failover", { method: "POST", headers }, { incoming: { socket } });
  expect(answer.status).toBe(401);
  expect(writes).toMatchObject([
    {
      ...{ who: null, method: "POST", path: "/v1/failover", outcome: "refused", status: 401 },
      detail: "not authenticated: the certificate is of host:notes/a in prod",
    },
  ]);
});
