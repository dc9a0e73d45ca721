/** What hosts say of their application, disks and vault, as it reaches an operator: status, SQL, metrics, health. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { formatStatus } from "../../../src/cli/commands/status.ts";
import { runStead } from "../../support/cli/run-cli.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
beforeEach(async () => {
  cluster = new TestCluster();
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b"), cluster.addHost("c")]);
  await cluster.startGateway();
  await cluster.serving();
});
afterEach(() => cluster.stop());

const base = (): string => `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
const metrics = async (): Promise<string> =>
  (await fetch(`${base()}/metrics`, { headers: { authorization: `Bearer ${secret}` } })).text();
const rows = async (sql: string) => {
  const answer = await cluster.client.sql({ sql });
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.value.rows;
};
const statusText = (): string => {
  const status = cluster.gateway?.status();
  if (status === undefined) throw new Error("no gateway");
  return formatStatus(status, 0);
};

test("a host that could not stay primary is a secondary with the reason and the time of its next try, in status, SQL and metrics", async () => {
  cluster.host("b").says({
    retry: { reason: "the application ended 4 times", inMs: 12_000, attempts: 4 },
    suspects: [{ method: "GET", path: "/crash", endings: 2, trialInMs: 10_000, pauseMs: 10_000 }],
    application: { state: "stopped", forMs: 5, detail: null, restarts: 0 },
  });
  await until(() => cluster.service().hosts.find(({ id }) => id === "b")?.retry !== null);
  expect(statusText()).toMatch(/^b +secondary +up .* 1 suspect request$/m);
  expect(statusText()).toMatch(/^ {2}b: retries in 1[0-2] s: the application ended 4 times \(4 times\)$/m);
  expect(
    statusText()
      .split("\n")
      .filter((line) => line.length > 100),
  ).toEqual([]);
  const [row] = await until(async () => {
    const found = await rows(
      "select application, suspects, retry_reason, retry_at > changed_at from health where host = 'b' and retry_reason is not null",
    );
    return found.length > 0 && found;
  });
  expect(row).toEqual(["stopped", 1, "the application ended 4 times", 1]);
  expect(await metrics()).toContain('stead_host_suspects{service="notes",host="b"} 1\n');
  const plan = await runStead(["failover", "--dry-run"], {
    env: { STEAD_SECRET: secret, STEAD_GATEWAY: base() },
    cwd: cluster.folder,
  });
  expect(plan.out).toContain("would promote: c\n");
  expect(plan.out).toMatch(
    /^not b: it could not stay primary \(the application ended 4 times\), and is asked again in 1[0-2] s$/m,
  );
});

test("an impaired primary is moved to a host that is better off, and the failover says why", async () => {
  cluster.host("a").says({ impairments: [{ kind: "disk", reason: "the data folder is read-only", forMs: 5_000 }] });
  await cluster.serving("a");
  const [failover] = await until(async () => {
    const found = await rows("select kind, outcome, cause from failovers where kind = 'impaired' and outcome = 'done'");
    return found.length > 0 && found;
  });
  expect(failover).toEqual(["impaired", "done", "its disk is impaired: the data folder is read-only"]);
  expect(cluster.service().events.some(({ level, what }) => level === "error" && what === "primary-impaired")).toBe(
    true,
  );
  expect(statusText()).toMatch(/^ {2}a: disk impaired for 5 s: the data folder is read-only$/m);
  expect(await rows("select impairments from health where host = 'a'")).toEqual([
    ["disk: the data folder is read-only"],
  ]);
});

test("a vault that no host reaches is a state of its own, and no failover", async () => {
  const away = { vaultSilentMs: 12_000 };
  for (const host of cluster.hosts.values()) host.says(away);
  await until(() => cluster.service().vault.state === "away");
  expect(statusText()).toMatch(/^service notes: serving, vault away for 1\d s, primary a, epoch 1/m);
  const shown = await runStead(["status"], {
    env: { STEAD_SECRET: secret, STEAD_GATEWAY: base() },
    cwd: cluster.folder,
  });
  expect(shown.code).toBe(9);
  const health = await fetch(`${base()}/health`);
  expect([health.status, await health.text()]).toEqual([
    503,
    expect.stringContaining("no host has reached the vault for 12 s"),
  ]);
  expect(await metrics()).toContain('stead_vault_state{service="notes"} 2\n');
  for (const host of cluster.hosts.values()) host.says({});
  await until(() => cluster.service().vault.state === "well");
  expect((await fetch(`${base()}/health`)).status).toBe(200);
  expect(
    cluster
      .service()
      .events.filter(({ what }) => what.startsWith("vault-"))
      .map(({ what }) => what),
  ).toEqual(["vault-away", "vault-back"]);
  expect(cluster.service().epoch).toBe(1);
});

test("an application whose check fails for long, that is stuck or started again is an event with the evidence, and so is the end of it", async () => {
  const noted = (what: string) => until(() => cluster.service().events.find((event) => event.what === what));
  const said = (state: string) =>
    until(() => cluster.service().hosts.some(({ application }) => application?.state === state));
  cluster
    .host("a")
    .says({ application: { state: "failing", forMs: 1_000, detail: "GET /health answered 503", restarts: 0 } });
  await said("failing");
  expect(statusText()).toContain("application failing for 1 s");
  expect(cluster.service().events.some(({ what }) => what.startsWith("application"))).toBe(false);
  cluster
    .host("a")
    .says({ application: { state: "failing", forMs: 6_000, detail: "GET /health answered 503", restarts: 0 } });
  expect(await noted("application-failing")).toMatchObject({
    level: "warning",
    host: "a",
    detail: "GET /health answered 503",
  });
  cluster
    .host("a")
    .says({ application: { state: "restarting", forMs: 10, detail: "it was stuck: the evidence", restarts: 1 } });
  expect(await noted("application-restarting")).toMatchObject({
    level: "warning",
    host: "a",
    detail: "it was stuck: the evidence",
  });
  cluster.host("a").says({ application: { state: "ready", forMs: 10, detail: null, restarts: 1 } });
  expect(await noted("application-ready")).toMatchObject({ level: "info", host: "a" });
});

test("a host of an earlier version is named, since the others write no newer records because of it", async () => {
  const noteOf = (host: string): string =>
    cluster
      .service()
      .hosts.find(({ id }) => id === host)
      ?.notes.join() ?? "";
  cluster.host("a").says({ recordFormat: { reads: 2, writes: 1 } });
  await until(() =>
    noteOf("b").includes(
      "reads records of format 1 and none newer, while other hosts read format 2: the primary writes format 1 until this host is upgraded",
    ),
  );
  expect(noteOf("a")).not.toContain("records of format");
  cluster.host("b").says({ recordFormat: { reads: 2, writes: null } });
  await until(() => !noteOf("b").includes("records of format"));
});

test("a log that a reader keeps from starting over is named with its process, in status, SQL and metrics", async () => {
  const longLogs = [{ database: "app.db", walBytes: 130 * 2 ** 20, heldMs: 30_000, heldBy: ["4711 (python3)"] }];
  cluster.host("a").says({ capture: { writeLocks: { count: 3, totalMs: 6, maxMs: 2.5 }, longLogs } });
  await until(() => cluster.service().hosts.find(({ id }) => id === "a")?.capture !== null);
  expect(
    cluster
      .service()
      .hosts.find(({ id }) => id === "a")
      ?.notes.join(),
  ).toContain(
    "app.db: write-ahead log of 130 MiB, which a reader has kept from starting over for 30 s: 4711 (python3)",
  );
  const [row] = await until(async () => {
    const found = await rows(
      "select long_logs, long_logs_since < changed_at from health where host = 'a' and long_logs is not null",
    );
    return found.length > 0 && found;
  });
  expect(row).toEqual(["app.db: at least 128 MiB, 4711 (python3)", 1]);
  const text = await metrics();
  expect(text).toContain('stead_host_write_locks_total{service="notes",host="a"} 3\n');
  expect(text).toContain('stead_host_write_lock_seconds_max{service="notes",host="a"} 0.0025\n');
  expect(text).toContain(
    `stead_host_long_log_bytes{service="notes",host="a",database="app.db",held_by="4711 (python3)"} ${130 * 2 ** 20}\n`,
  );
});
