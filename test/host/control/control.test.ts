import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { type RewindPlan, rewindPlanSchema } from "../../../src/control/rewind-api.ts";
import { type RestorePoints, restorePointsSchema } from "../../../src/control/restore-points.ts";
import { type HostStatus, untold } from "../../../src/control/host-status.ts";
import type { DemoteEvent, PromoteEvent } from "../../../src/control/host-api.ts";
import type { Api } from "../../../src/control/server/api.ts";
import { clusterSecret } from "../../../src/control/server/authentication.ts";
import { type Controlled, controlApp } from "../../../src/host/control/control.ts";
import { serveControl, ControlListenError } from "../../../src/host/control/control-server.ts";
import type { Clock } from "../../../src/runtime/clock.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemLog } from "../../../src/runtime/log.ts";
import { until } from "../../support/host/log-fixture.ts";

const secret = "s".repeat(32);
const status: HostStatus = {
  ...{
    version: 1,
    service: "notes",
    host: "a",
    instance: "i",
    role: "secondary",
    reason: null,
    epoch: 0,
    epochHost: null,
    position: 0,
  },
  ...{
    lastRecordAgeMs: null,
    vaultSilentMs: null,
    clockMs: 12.5,
    handover: null,
    vacated: false,
    dataUrl: "http://127.0.0.1:1",
    controlUrl: "http://127.0.0.1:2",
    priority: 0,
    nofailover: false,
  },
  ...{ leaseMs: 1000, checkpoint: null, setAside: [], ...untold, warnings: [] },
};

const entry = { name: "app.db", condition: "captured", forMs: null, reason: null, advice: null } as const;

const rewindPlan: RewindPlan = {
  to: { position: 7, epoch: 1, wallTimeMs: 1_000 },
  end: { position: 9, wallTimeMs: 2_000 },
  undone: {
    ...{ flushes: 2, bytes: 8_192, firstMs: 1_500, lastMs: 2_000, fileChanges: 0, databasesTotal: 1 },
    databases: [{ name: "notes.db", pages: 2 }],
  },
  keptForMs: 60_000,
};
const restorePoints: RestorePoints = {
  ...{ total: 2, damaged: [7], older: [{ position: 3, wallTimeMs: 500 }] },
  checkpoints: [{ position: 9, wallTimeMs: 2_000, databases: 1, bytes: 4_096 }],
  earliest: { position: 9, wallTimeMs: 2_000 },
  ...{ latest: null, keep: { checkpoints: 3, windowMs: 1_000 } },
};

class FakeHost implements Controlled {
  readonly calls: string[] = [];
  events: PromoteEvent[] = [{ kind: "done", epoch: 1, position: 1, dataUrl: "http://127.0.0.1:1" }];
  listeners = 0;
  position = 0;
  #changed = Promise.withResolvers<void>();

  status(): HostStatus {
    return { ...status, position: this.position };
  }

  changed(): Promise<void> {
    const promise = this.#changed.promise;
    const then = promise.then.bind(promise);
    promise.then = ((...handlers: Parameters<typeof then>) => {
      this.listeners += 1;
      return then(...handlers);
    }) as typeof promise.then;
    return promise;
  }

  drill: Controlled["drill"] = () => ({ kind: "refused", refusal: { kind: "not_ready", reason: "a test" } });

  change(): void {
    this.position += 1;
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }

  promote(_request: unknown, report: (event: PromoteEvent) => void): Promise<void> {
    this.calls.push("promote");
    for (const event of this.events) report(event);
    return Promise.resolve();
  }

  demote(_request: unknown, report: (event: DemoteEvent) => void): Promise<void> {
    this.calls.push("demote");
    report({ kind: "refused", refusal: { kind: "not_ready", reason: "this host is secondary, not primary" } });
    return Promise.resolve();
  }

  readonly gateways: Controlled["gateways"] = {
    watchedBy: (gateway) => {
      this.calls.push(`watched by ${gateway}`);
      return () => void this.calls.push(`left by ${gateway}`);
    },
    removedBy: (gateway) => void this.calls.push(`removed by ${gateway}`),
    toldFormat: (gateway, format) => void this.calls.push(`told format ${format} by ${gateway}`),
  };

  restore(): ReturnType<Controlled["restore"]> {
    return Promise.resolve({ kind: "not_ready", reason: "this host is primary: demote it first" });
  }

  clearSuspects(): void {
    this.calls.push("clear suspects");
  }

  rehearsal: Awaited<ReturnType<Controlled["rehearse"]>> = {
    kind: "refused",
    refusal: { kind: "not_ready", reason: "only a secondary rehearses; this host is primary" },
  };
  readonly databases: Controlled["databases"] = {
    list: () => ({ total: 1, databases: [entry] }),
    exclude: ({ name, force }) =>
      Promise.resolve(
        force === true
          ? { kind: "done", done: { total: 1, databases: [{ ...entry, name, condition: "excluded" }] } }
          : { kind: "refused", refusal: { kind: "not_ready", reason: `${name} is captured` } },
      ),
    include: ({ name }) => Promise.resolve({ kind: "done", done: { total: 1, databases: [{ ...entry, name }] } }),
  };
  readonly rewinds: Controlled["rewinds"] = {
    plan: () => Promise.resolve({ kind: "done", done: rewindPlan }),
    prepare: () => Promise.resolve({ kind: "refused", refusal: { kind: "not_ready", reason: "it is restoring" } }),
  };
  readonly restorePoints: Controlled["restorePoints"] = { read: () => Promise.resolve(restorePoints) };
  rehearse(): ReturnType<Controlled["rehearse"]> {
    return Promise.resolve(this.rehearsal);
  }

  checkpoint(): ReturnType<Controlled["checkpoint"]> {
    return Promise.resolve({ kind: "done", done: { position: 4, chunksWritten: 1, chunksReused: 0, ms: 1 } });
  }
}

/** Only what is used: the types of the DOM and of Node differ in the rest. */
interface StreamReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

const metrics = new PrometheusMetrics(hostMetrics);

const appOf = (host: Controlled, clock: Clock = systemClock): Api =>
  controlApp(host, { authenticator: clusterSecret(secret), clock, metrics, log: systemLog("host") });

const good = { gateway: "gw1", epoch: 0, gatewaysRegistered: 1, gatewaysSeeingDown: [], planned: true };

function call(host: Controlled, path: string, init: RequestInit = {}, clock: Clock = systemClock): Promise<Response> {
  const headers = { authorization: `Bearer ${secret}`, ...(init.headers as Record<string, string> | undefined) };
  return Promise.resolve(appOf(host, clock).request(path, { ...init, headers }));
}
const post = (host: Controlled, path: string, body: string): Promise<Response> =>
  call(host, path, { method: "POST", body });

/** Timers fire when the test says so. */
function manualTimers(): Clock & { fire(): void; readonly pending: number } {
  let timers: (() => void)[] = [];
  return {
    ...systemClock,
    setTimer: (_delayMs, callback) => {
      timers.push(callback);
      return { cancel: () => void (timers = timers.filter((timer) => timer !== callback)) };
    },
    fire: () => {
      for (const timer of timers.splice(0)) timer();
    },
    get pending() {
      return timers.length;
    },
  };
}

async function nextStatus(reader: StreamReader): Promise<HostStatus> {
  const { value } = await reader.read();
  return JSON.parse(Buffer.from(value ?? new Uint8Array()).toString()) as HostStatus;
}

function bodyOf(response: Response): StreamReader {
  if (response.body === null) throw new Error("no body");
  return (response.body as ReadableStream<Uint8Array>).getReader();
}

test("the format that a gateway tells with a probe reaches the host, unless it is malformed or the gateway is not named", async () => {
  const host = new FakeHost();
  const app = appOf(host);
  const probe = async (fields: Record<string, string>): Promise<void> => {
    expect(
      (await app.request("/v1/status", { headers: { authorization: `Bearer ${secret}`, ...fields } })).status,
    ).toBe(200);
  };
  await probe({ "stead-gateway": "gw1", "stead-record-format": "2" });
  for (const format of ["0", "-1", "2.5", "two", "", "99999"])
    await probe({ "stead-gateway": "gw1", "stead-record-format": format });
  await probe({ "stead-record-format": "1" });
  await probe({ "stead-gateway": "a gateway", "stead-record-format": "1" });
  await probe({ "stead-gateway": "gw2" });
  expect(host.calls).toEqual(["told format 2 by gw1"]);
});

describe("the control API", () => {
  test("answers no request without the cluster secret", async () => {
    const host = new FakeHost();
    for (const authorization of ["", secret, `Bearer ${secret}x`, `Bearer ${secret.slice(1)}`, `Basic ${secret}`]) {
      for (const [method, path] of [
        ["GET", "/v1/status"],
        ["GET", "/v1/status/stream"],
        ["POST", "/v1/promote"],
        ["POST", "/v1/demote"],
        ["POST", "/v1/restore"],
        ["POST", "/v1/checkpoint"],
        ["POST", "/v1/rehearse"],
        ["POST", "/v1/removed"],
        ["POST", "/v1/suspects/clear"],
        ["GET", "/v1/restore-points"],
        ["GET", "/v1/databases"],
        ["POST", "/v1/databases/exclude"],
        ["POST", "/v1/databases/include"],
      ] as const) {
        const answer = await call(host, path, { method, headers: { authorization } });
        expect(answer.status).toBe(401);
        expect(await answer.json()).toMatchObject({ error: "not authenticated" });
      }
    }
    expect(host.calls).toEqual([]);
  });

  test("tells the host which gateway reads its status stream, and when it has left", async () => {
    const host = new FakeHost();
    const named = bodyOf(await call(host, "/v1/status/stream", { headers: { "stead-gateway": "gw1" } }));
    await nextStatus(named);
    const nameless = bodyOf(await call(host, "/v1/status/stream", { headers: { "stead-gateway": "<script>" } }));
    await nextStatus(nameless);
    expect(host.calls).toEqual(["watched by gw1", "watched by undefined"]);
    await named.cancel();
    host.change();
    await until(() => host.calls.includes("left by gw1"));
    await nameless.cancel();
  });

  test("passes on that a gateway has removed the host, by a name that is one", async () => {
    const host = new FakeHost();
    expect((await post(host, "/v1/removed", '{"gateway":"gw1"}')).status).toBe(200);
    expect((await post(host, "/v1/removed", '{"gateway":"a b"}')).status).toBe(400);
    expect(host.calls).toEqual(["removed by gw1"]);
  });

  test("names the field of a body that does not fit, and asks the host nothing", async () => {
    const host = new FakeHost();
    const bodies: [string, string][] = [
      ["", "gateway: "],
      ["{", "the body is not JSON"],
      ["[]", ": "],
      ["null", ": "],
      [JSON.stringify({ ...good, epoch: "4" }), "epoch: "],
      [JSON.stringify({ ...good, epoch: -1 }), "epoch: "],
      [JSON.stringify({ ...good, epoch: 1.5 }), "epoch: "],
      [JSON.stringify({ ...good, gatewaysSeeingDown: "gw1" }), "gatewaysSeeingDown: "],
      [JSON.stringify({ ...good, planned: undefined }), "planned: "],
    ];
    for (const [body, error] of bodies) {
      const answer = await post(host, "/v1/promote", body);
      expect(answer.status).toBe(400);
      expect(((await answer.json()) as { error: string }).error).toContain(error);
    }
    expect((await post(host, "/v1/demote", JSON.stringify({ gateway: "gw1" }))).status).toBe(400);
    const demote = { gateway: "gw1", successor: null, reason: "maintenance" };
    for (const change of [
      { reason: "x".repeat(501) },
      { reason: "half a pair \ud800" },
      { successor: "b".repeat(65) },
    ]) {
      expect((await post(host, "/v1/demote", JSON.stringify({ ...demote, ...change }))).status).toBe(400);
    }
    const large = await post(host, "/v1/promote", JSON.stringify({ ...good, gateway: "g".repeat(300_000) }));
    expect([large.status, await large.json()]).toEqual([
      413,
      { error: "the body is too large", code: "too-large", advice: "at most 262144 bytes are accepted" },
    ]);
    expect(host.calls).toEqual([]);
  });

  test("tells what the vault can be restored to, as the schema has it", async () => {
    const answer: unknown = await (await call(new FakeHost(), "/v1/restore-points")).json();
    expect(v.parse(restorePointsSchema, answer)).toEqual(restorePoints);
  });

  test("says what a rewind would undo, and refuses to prepare one in words", async () => {
    const moment = { kind: "time", wallTimeMs: 1_000 };
    const planned = await post(new FakeHost(), "/v1/rewind/plan", JSON.stringify({ moment }));
    expect(v.parse(rewindPlanSchema, await planned.json())).toEqual(rewindPlan);
    const refused = await post(new FakeHost(), "/v1/rewind/prepare", JSON.stringify({ moment }));
    expect([refused.status, await refused.json()]).toEqual([409, { kind: "not_ready", reason: "it is restoring" }]);
    for (const wrong of [
      {},
      { moment: {} },
      { moment: { kind: "time" } },
      { moment: { kind: "position", position: -1 } },
    ])
      expect((await post(new FakeHost(), "/v1/rewind/plan", JSON.stringify(wrong))).status).toBe(400);
  });

  test("excludes and includes a database by a name that stays in the data folder, and refuses one that is captured", async () => {
    const host = new FakeHost();
    expect(await (await call(host, "/v1/databases")).json()).toEqual({ total: 1, databases: [entry] });
    for (const name of ["", "../app.db", "/etc/app.db"])
      expect((await post(host, "/v1/databases/exclude", JSON.stringify({ name }))).status).toBe(400);
    const refused = await post(host, "/v1/databases/exclude", '{"name":"app.db"}');
    expect([refused.status, await refused.json()]).toEqual([409, { kind: "not_ready", reason: "app.db is captured" }]);
    expect(await (await post(host, "/v1/databases/exclude", '{"name":"app.db","force":true}')).json()).toEqual({
      total: 1,
      databases: [{ ...entry, condition: "excluded" }],
    });
    expect(await (await post(host, "/v1/databases/include", '{"name":"app.db"}')).json()).toEqual({
      total: 1,
      databases: [entry],
    });
  });

  test("streams the phases of a promotion, one line each, until it is done or refused", async () => {
    const host = new FakeHost();
    host.events = [
      { kind: "phase", phase: "claim", ms: 1 },
      { kind: "refused", refusal: { kind: "epoch_taken", epoch: 2, host: "b" } },
    ];
    const answer = await post(host, "/v1/promote", JSON.stringify(good));
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toContain("application/x-ndjson");
    expect(
      (await answer.text())
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(host.events);
  });

  test("answers 409 with the refusal where an answer is one object", async () => {
    const answer = await post(new FakeHost(), "/v1/restore", "{}");
    expect(answer.status).toBe(409);
    expect(await answer.json()).toEqual({ kind: "not_ready", reason: "this host is primary: demote it first" });
    expect(await (await post(new FakeHost(), "/v1/checkpoint", "{}")).json()).toMatchObject({ position: 4 });
  });

  test("forgets the requests that were set aside", async () => {
    const host = new FakeHost();
    expect((await post(host, "/v1/suspects/clear", "{}")).status).toBe(200);
    expect(host.calls).toEqual(["clear suspects"]);
  });

  test("says what it does not know", async () => {
    const answer = await call(new FakeHost(), "/v2/status");
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: "no such call" });
  });
});

describe("the status stream", () => {
  test("tells the status at once, at each change, and at each heartbeat", async () => {
    const [host, clock] = [new FakeHost(), manualTimers()];
    const reader = bodyOf(await call(host, "/v1/status/stream", {}, clock));
    expect((await nextStatus(reader)).position).toBe(0);
    host.change();
    expect((await nextStatus(reader)).position).toBe(1);
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
    clock.fire();
    expect((await nextStatus(reader)).position).toBe(1);
    await reader.cancel();
  });

  test("leaves one listener with the host however many heartbeats pass without a change", async () => {
    const [host, clock] = [new FakeHost(), manualTimers()];
    const reader = bodyOf(await call(host, "/v1/status/stream", {}, clock));
    await nextStatus(reader);
    for (let beat = 0; beat < 50; beat += 1) {
      while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
      clock.fire();
      await nextStatus(reader);
    }
    expect(host.listeners).toBe(1);
    host.change();
    expect((await nextStatus(reader)).position).toBe(1);
    await reader.cancel();
  });

  test("ends when the listener is closed: that is the failure signal of a gateway", async () => {
    const server = await serveControl(appOf(new FakeHost()), {
      host: "127.0.0.1",
      port: 0,
    });
    const answer = await fetch(`http://127.0.0.1:${server.port}/v1/status/stream`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    const reader = bodyOf(answer);
    await nextStatus(reader);
    const closed = server.close();
    const ended = (async () => {
      for (;;) if ((await reader.read()).done) return "ended";
    })().catch(() => "ended");
    expect(await ended).toBe("ended");
    await closed;
  });

  test("cannot be offered on a port that is in use, and says what to do", async () => {
    const app = appOf(new FakeHost());
    const first = await serveControl(app, { host: "127.0.0.1", port: 0 });
    const failure = await serveControl(app, { host: "127.0.0.1", port: first.port }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(ControlListenError);
    expect((failure as ControlListenError).advice).toContain("change `control`");
    await first.close();
  });
});
