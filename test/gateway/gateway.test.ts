import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { DatabaseSync } from "node:sqlite";
import type { SamplesAnswer } from "../../src/control/samples-api.ts";
import type { SightAnswer } from "../../src/control/sight-api.ts";
import { secret, TestCluster, until } from "../support/gateway/cluster.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(() => cluster.stop());

async function threeHosts(): Promise<void> {
  await Promise.all([
    cluster.addHost("a", { priority: 2 }),
    cluster.addHost("b", { priority: 1 }),
    cluster.addHost("c"),
  ]);
  await cluster.startGateway();
  await cluster.serving();
}

describe("a gateway with three hosts", () => {
  test("promotes the best host on an empty vault, and forwards to it", async () => {
    await threeHosts();
    expect(await cluster.ask()).toEqual({ status: 200, host: "a" });
    // Who sees whom: this gateway alone.
    const answer = await fetch(`http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}/v1/sight`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    const { services } = (await answer.json()) as SightAnswer;
    expect(
      services[0]?.views.map(({ gateway, hosts }) => [gateway, hosts.map(({ host, health }) => [host, health])]),
    ).toEqual([["g1", ["a", "b", "c"].map((id) => [id, "up"])]]);
    for (const { latencyMs, ageMs } of services[0]?.views[0]?.hosts ?? [])
      expect([typeof latencyMs, typeof ageMs]).toEqual(["number", "number"]);
    // A gateway that has just started has no last hour.
    const hour = await fetch(`http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}/v1/samples/notes`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    expect((await hour.json()) as SamplesAnswer).toMatchObject({ service: "notes", everyMs: 15_000, taken: 0 });
    expect(cluster.service()).toMatchObject({ primary: "a", epoch: 1, phase: "serving" });
  });

  test("replaces a killed primary, holding the requests meanwhile, and records every phase and the gap", async () => {
    await threeHosts();
    await cluster.ask();
    cluster.host("a").signal("SIGKILL");
    const answers = await Promise.all(Array.from({ length: 20 }, () => cluster.ask()));
    expect(answers.every(({ status, host }) => status === 200 && host === "b")).toBe(true);
    const service = await cluster.serving("a");
    const last = await until(() =>
      cluster.service().failovers.find((entry) => entry.to === "b" && entry.gapMs !== null),
    );
    expect(last).toMatchObject({ kind: "kill", outcome: "done", from: "a", to: "b", epochTo: 2, attempts: 1 });
    expect(last.phases.detect).toBeGreaterThanOrEqual(0);
    expect(last.phases.claim).toBe(1);
    expect(last.phases.route).toBeGreaterThanOrEqual(0);
    expect(service.requests.failed).toBe(0);
    // What was expected when it was decided is compared with what happened.
    expect(last.predictedMs ?? 0).toBeGreaterThan(0);
    // On one time axis: what was detected lies before the decision, and the clients' gap around it.
    const timed = Object.entries(last.phases).flatMap(([phase, ms]) => (ms === null ? [] : [phase]));
    expect(last.timeline.map(({ phase }) => phase).sort()).toEqual(timed.sort());
    const detect = last.timeline.find(({ phase }) => phase === "detect");
    expect((detect?.startMs ?? 0) + (detect?.ms ?? 0)).toBeCloseTo(0, 3);
    const gapStartMs = last.gapStartMs ?? Infinity;
    const route = last.timeline.find(({ phase }) => phase === "route");
    expect(gapStartMs).toBeLessThan(0);
    expect(gapStartMs + (last.gapMs ?? 0)).toBeGreaterThanOrEqual(route?.startMs ?? Infinity);
    const sql = `select phase, start_ms, ms from failover_phases where failover = '${last.id}' and phase in ('gap', 'route')`;
    await until(async () => {
      const answer = await cluster.client.sql({ sql });
      return (
        answer.kind === "ok" && answer.value.rows.some(([phase, start]) => phase === "gap" && start === gapStartMs)
      );
    });
  });

  test("keeps with a failover who could have taken over, who saw what, what was expected and what requests noticed", async () => {
    await threeHosts();
    await cluster.ask();
    // Some are in flight at any time, and so when the primary ends.
    let isOver = false;
    const clients = Array.from({ length: 4 }, async () => {
      while (!isOver) await cluster.ask();
    });
    cluster.host("a").signal("SIGKILL");
    await cluster.serving("a");
    isOver = true;
    await Promise.all(clients);
    const last = await until(() => cluster.service().failovers.find((entry) => entry.to === "b"));
    const rows = async (sql: string) => {
      const answer = await cluster.client.sql({ sql });
      return answer.kind === "ok" ? answer.value.rows : [];
    };
    // A request that met the dead primary is replayed, and one that came later is held.
    const [noticed, lost] = await until(async () => {
      const [row] = await rows(`select held + replayed, unknown + failed from failovers where id = '${last.id}'`);
      return typeof row?.[0] === "number" && row;
    });
    expect(noticed).toBeGreaterThanOrEqual(1);
    expect(lost).toBe(0);
    const of = `where failover = '${last.id}'`;
    expect(await rows(`select host, rank from failover_candidates ${of}`)).toEqual([
      ["b", 1],
      ["c", 2],
      ["a", null],
    ]);
    const evidence = await rows(`select gateway, sees, cause from failover_evidence ${of}`);
    // Of a process that ends, its connections may be seen to end before a new one is refused.
    expect(evidence).toEqual([["g1", "down", expect.stringMatching(/^(refused|reset)$/)]]);
    expect((await rows(`select phase, ms, source from failover_expectations ${of}`)).length).toBeGreaterThan(3);
  });

  test("still lists earlier failovers after a restart", async () => {
    await threeHosts();
    cluster.host("a").signal("SIGKILL");
    await cluster.serving("a");
    const before = await until(() =>
      cluster.service().failovers.at(-1)?.to === "b" ? cluster.service().failovers : false,
    );
    await cluster.gateway?.close(0);
    // Rows that came from a peer of another version, or from one that ended in the middle.
    const database = new DatabaseSync(cluster.config?.databasePath ?? "");
    database.exec("UPDATE t_failovers SET kind = 'of tomorrow', outcome = 'interrupted' WHERE to_host = 'b'");
    database.close();
    await cluster.startGateway();
    const answer = await cluster.client.cluster();
    const failovers = answer.kind === "ok" ? answer.value.services[0]?.failovers : answer;
    expect(failovers).toMatchObject(
      before.map(({ id, to }) => ({ id, to, outcome: to === "b" ? "interrupted" : "done" })),
    );
  });

  test("replaces a primary that hangs, and keeps its successor when it wakes up", async () => {
    await threeHosts();
    cluster.host("a").signal("SIGSTOP");
    await cluster.serving("a");
    // The record is kept a moment after the service is back.
    const last = await until(() => cluster.service().failovers.find((entry) => entry.to === "b"));
    expect(last).toMatchObject({ kind: "hang", from: "a", to: "b" });
    cluster.host("a").signal("SIGCONT");
    await until(() => cluster.service().hosts.find(({ id }) => id === "a")?.health === "up");
    expect(await cluster.ask()).toEqual({ status: 200, host: "b" });
    expect(cluster.service().epoch).toBe(2);
  });

  test("switches over on order without an error for any client", async () => {
    await threeHosts();
    let running = true;
    const statuses: number[] = [];
    const load = (async () => {
      while (running) statuses.push((await cluster.ask("POST")).status);
    })();
    const answer = await cluster.client.switchover({ host: "c" });
    expect(answer).toMatchObject({ kind: "ok", value: { primary: "c", epoch: 2 } });
    expect(await cluster.ask()).toEqual({ status: 200, host: "c" });
    running = false;
    await load;
    expect(statuses.every((status) => status === 200)).toBe(true);
  });

  test("a drill moves the primary, measures the clients' wait, and is refused while it would not be safe", async () => {
    await threeHosts();
    let running = true;
    const load = (async () => {
      while (running) await cluster.ask();
    })();
    await until(() => cluster.service().requests.ok > 0);
    const drill = await cluster.client.drill({ kind: "switchover" });
    running = false;
    await load;
    expect(drill).toMatchObject({
      kind: "ok",
      value: { kind: "switchover", outcome: "passed", from: "a", to: "b", orderedBy: "secret", measuredBy: "clients" },
    });
    const { rtoMs, predictedMs } = drill.kind === "ok" ? drill.value : { rtoMs: null, predictedMs: null };
    expect(rtoMs ?? 0).toBeGreaterThan(0);
    expect(predictedMs ?? 0).toBeGreaterThan(0);
    expect(await cluster.client.drills()).toMatchObject({ value: { drills: [{ outcome: "passed", rtoMs }] } });
    const phases = drill.kind === "ok" ? drill.value.phases : [];
    expect(phases.map(({ phase }) => phase)).toEqual(expect.arrayContaining(["demote", "claim", "start", "rest"]));
    expect(phases.reduce((sum, { expectedMs }) => sum + (expectedMs ?? 0), 0)).toBeCloseTo(predictedMs ?? 0, 6);
    expect(phases.reduce((sum, { measuredMs }) => sum + (measuredMs ?? 0), 0)).toBeCloseTo(rtoMs ?? 0, 6);
    const port = cluster.gateway?.adminPort ?? 0;
    const scraped = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { authorization: `Bearer ${secret}` } });
    const samples = await scraped.text();
    expect(samples).toContain('stead_drill_passed{service="notes"} 1\n');
    expect(samples).toContain(`stead_drill_wait_seconds{service="notes"} ${(rtoMs ?? 0) / 1_000}\n`);
    const start = phases.find(({ phase }) => phase === "start");
    const sql = "select expected_ms, measured_ms from drill_phases where phase = 'start'";
    await until(async () => {
      const answer = await cluster.client.sql({ sql });
      const [row] = answer.kind === "ok" ? answer.value.rows : [];
      return row?.[0] === start?.expectedMs && row?.[1] === start?.measuredMs;
    });
    expect(cluster.service().events.map(({ what }) => what)).toEqual(
      expect.arrayContaining(["drill-started", "drill-passed"]),
    );
    await cluster.client.pause({});
    expect(await cluster.client.drill({ kind: "switchover" })).toMatchObject({
      kind: "refused-by-gateway",
      status: 409,
      error: expect.stringContaining("automation is paused"),
    });
    expect(await cluster.client.drills()).toMatchObject({ value: { drills: [{ outcome: "passed" }] } });
  });

  test("a drill is ordered for a time, once per service, is none that ran, and is taken back", async () => {
    await threeHosts();
    const order = { kind: "switchover", at: "03:00" } as const;
    const planned = { kind: "switchover", service: "notes", orderedBy: "secret" };
    for (const _ of ["first", "again after it was taken back"]) {
      expect(await cluster.client.planDrill(order)).toMatchObject({ kind: "ok", value: planned });
      expect(await cluster.client.planDrill(order)).toMatchObject({
        ...{ kind: "refused-by-gateway", code: "conflict" },
        advice: expect.stringContaining("stead drill cancel --service notes"),
      });
      expect(await cluster.client.drills()).toMatchObject({ value: { drills: [], planned: [planned] } });
      expect(await cluster.client.cancelDrill({})).toMatchObject({ kind: "ok", value: planned });
      expect(await cluster.client.cancelDrill({})).toMatchObject({ kind: "refused-by-gateway", code: "conflict" });
      expect(await cluster.client.drills()).toMatchObject({ value: { drills: [], planned: [] } });
    }
  });

  test("a drill reads its probe's writes back: it fails if one that was acknowledged is lost, however short the wait", async () => {
    await threeHosts();
    const kept = new Set<string>();
    let forgets = false;
    const application = Bun.serve({
      port: 0,
      fetch: ({ method, url }) => {
        if (method === "PUT") kept.add(url);
        const isThere = kept.has(url);
        if (method === "GET" && forgets) kept.delete(url);
        return new Response(isThere ? url : "");
      },
    });
    const url = `http://127.0.0.1:${application.port}/probes/{token}`;
    const config = cluster.config;
    const services = config?.services.map((service) => ({
      ...service,
      probe: { url, method: "PUT" as const, body: "", headers: {}, read: url },
    }));
    if (config === undefined || services === undefined) throw new Error("no gateway");
    cluster.gateway?.reload({ ...config, services });
    let running = true;
    const load = (async () => {
      while (running) await cluster.ask();
    })();
    expect(await cluster.client.drill({ kind: "switchover" })).toMatchObject({
      value: { outcome: "passed", rpoMs: 0, probeWrites: kept.size, probeLost: 0 },
    });
    forgets = true;
    const failed = await until(async () => {
      const answer = await cluster.client.drill({ kind: "switchover" });
      return answer.kind === "ok" && answer.value;
    });
    running = false;
    await Promise.all([load, application.stop(true)]);
    expect(failed.outcome).toBe("failed");
    expect(failed.probeLost ?? 0).toBeGreaterThan(0);
    expect(failed.rpoMs ?? 0).toBeGreaterThan(0);
    expect(cluster.service().events).toContainEqual(
      expect.objectContaining({
        what: "drill-failed",
        detail: expect.stringContaining("acknowledged writes were lost"),
      }),
    );
  });

  test("continues with the next candidate when the first dies after its claim", async () => {
    await Promise.all([
      cluster.addHost("a", { priority: 2 }),
      cluster.addHost("b", { priority: 1, dieAfterClaim: true }),
      cluster.addHost("c"),
    ]);
    await cluster.startGateway();
    await cluster.serving();
    cluster.host("a").signal("SIGKILL");
    const service = await cluster.serving("a");
    expect(service).toMatchObject({ primary: "c", epoch: 3 });
  });

  test("keeps routing to the last known primary while its data port answers, though no control port does", async () => {
    await cluster.addHost("a");
    await cluster.startGateway();
    await cluster.serving();
    const client = cluster.client;
    await client.addHost({ id: "ghost", controlUrl: "http://127.0.0.1:9" });
    await client.removeHost("notes", "ghost");
    expect(await cluster.ask()).toEqual({ status: 200, host: "a" });
  });

  test("recovers by itself from its database after every process was killed", async () => {
    await threeHosts();
    await cluster.gateway?.close(0);
    await Promise.all([...cluster.hosts.values()].map((host) => host.end()));
    await Promise.all([...cluster.hosts.values()].map((host) => host.start()));
    await cluster.startGateway();
    await cluster.serving();
    expect(await cluster.ask()).toMatchObject({ status: 200 });
    expect(cluster.service().epoch).toBe(2);
  });

  test("holds requests while the only host is restarted, then answers them", async () => {
    await cluster.addHost("a");
    await cluster.startGateway();
    await cluster.serving();
    await cluster.host("a").end();
    const answer = cluster.ask();
    await until(() => cluster.service().waiting.requests === 1);
    await cluster.host("a").start();
    expect(await answer).toEqual({ status: 200, host: "a" });
  });
});

describe("a gateway whose process was paused", () => {
  test("does not mistake its own pause for silence of the hosts", async () => {
    await threeHosts();
    for (const pauseMs of [300, 700, 1_300]) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
      expect(await cluster.ask()).toEqual({ status: 200, host: "a" });
      await until(() => cluster.service().hosts.every(({ heardMsAgo }) => (heardMsAgo ?? Infinity) < 100));
    }
    expect(cluster.service().failovers.map(({ kind }) => kind)).toEqual(["first"]);
    expect(cluster.service().events.filter(({ what }) => what === "host-down")).toEqual([]);
  });
});
