/**
 * The control API with bodies that no gateway and no host of this version sends. A host refuses each, names what is
 * wrong with it, and keeps its state; a gateway accepts only whole and valid lines, and always learns how the stream
 * ended.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { createServer } from "node:http";
import * as v from "valibot";
import { HostClient, type StreamEnd } from "../../../src/control/host-client.ts";
import { type HostStatus, hostStatusSchema, untold } from "../../../src/control/host-status.ts";
import {
  demoteRequestSchema,
  promoteEventSchema,
  promoteRequestSchema,
  type PromoteEvent,
} from "../../../src/control/host-api.ts";
import { clusterSecret } from "../../../src/control/server/authentication.ts";
import { type Controlled, controlApp } from "../../../src/host/control/control.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { sealedHandler } from "../../support/control/sealed.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemLog } from "../../../src/runtime/log.ts";
import { SeededRandom } from "../../../harness/seeded-random.ts";

setDefaultTimeout(60_000);

const status: HostStatus = {
  ...{
    version: 1,
    service: "notes",
    host: "a",
    instance: "i",
    role: "primary",
    reason: null,
    epoch: 3,
    epochHost: "a",
    position: 12,
  },
  ...{
    lastRecordAgeMs: 5,
    vaultSilentMs: 1,
    clockMs: 12.5,
    handover: { to: "b", forMs: 3 },
    vacated: false,
    dataUrl: "http://127.0.0.1:1",
    controlUrl: "http://127.0.0.1:2",
    priority: 0,
    nofailover: false,
  },
  ...{ leaseMs: 1000, checkpoint: { position: 4, wallTimeMs: 5 }, setAside: ["x"], ...untold, warnings: [] },
};
const promote = {
  gateway: "g1",
  epoch: 3,
  gatewaysRegistered: 2,
  gatewaysSeeingDown: ["g1"],
  planned: false,
  basedOn: { instance: "i", clockMs: 5, validMs: 3_000 },
};
const demote = { gateway: "g1", successor: "b", reason: "maintenance" };

/** In place of a value, or beside it. */
const odd: readonly unknown[] = [
  null,
  true,
  -1,
  0.5,
  1e300,
  2 ** 53,
  "",
  "\ud800",
  "\u0000",
  "x".repeat(1_000),
  [],
  [[]],
  {},
  { kind: "done" },
  { __proto__: null },
  "NaN",
  -0,
];

/** A copy with something of another kind, left out, or added, at any depth. */
function spoilt(dice: SeededRandom, value: unknown): unknown {
  if (typeof value !== "object" || value === null || dice.chance(0.15)) return dice.pick(odd);
  const entries = Object.entries(value);
  const at = dice.int(0, Math.max(0, entries.length - 1));
  const changed = entries.flatMap(([key, inner], index): [string, unknown][] =>
    index !== at ? [[key, inner]] : dice.chance(0.2) ? [] : [[key, spoilt(dice, inner)]],
  );
  if (dice.chance(0.1)) changed.push([dice.pick(["constructor", "toString", "more"]), dice.pick(odd)]);
  return Array.isArray(value) ? changed.map(([, inner]) => inner) : Object.fromEntries(changed);
}

/** Text that may not even be JSON. */
function text(dice: SeededRandom, value: unknown): string {
  const whole = JSON.stringify(dice.chance(0.8) ? spoilt(dice, value) : value);
  switch (dice.int(0, 6)) {
    case 0:
      return whole.slice(0, dice.int(0, whole.length));
    case 1:
      return whole.replace(/[{}[\]":,]/, () => dice.pick(["", "{", "[", '"', ",", "\n"]));
    case 2:
      return `${"[".repeat(dice.int(1, 5_000))}${whole}`;
    default:
      return whole;
  }
}

class Watched implements Controlled {
  readonly asked: { readonly path: string; readonly request: unknown }[] = [];
  status = (): HostStatus => status;
  clearSuspects = (): void => undefined;
  changed = (): Promise<void> => new Promise(() => undefined);
  promote: Controlled["promote"] = (request, report) => {
    this.asked.push({ path: "/v1/promote", request });
    report({ kind: "refused", refusal: { kind: "not_ready", reason: "a test" } });
    return Promise.resolve();
  };
  demote: Controlled["demote"] = (request, report) => {
    this.asked.push({ path: "/v1/demote", request });
    report({ kind: "refused", refusal: { kind: "not_ready", reason: "a test" } });
    return Promise.resolve();
  };
  readonly gateways: Controlled["gateways"] = {
    watchedBy: () => () => undefined,
    removedBy: (gateway) => void this.asked.push({ path: "/v1/removed", request: { gateway } }),
    toldFormat: () => undefined,
  };
  readonly databases: Controlled["databases"] = {
    list: () => ({ total: 0, databases: [] }),
    exclude: () => Promise.resolve({ kind: "refused", refusal: { kind: "not_ready", reason: "a test" } }),
    include: () => Promise.resolve({ kind: "refused", refusal: { kind: "not_ready", reason: "a test" } }),
  };
  readonly rewinds: Controlled["rewinds"] = {
    plan: () => Promise.reject(new Error("no vault")),
    prepare: () => Promise.reject(new Error("no vault")),
  };
  readonly restorePoints: Controlled["restorePoints"] = { read: () => Promise.reject(new Error("no vault")) };
  restore: Controlled["restore"] = () => Promise.resolve(undefined);
  rehearse: Controlled["rehearse"] = () =>
    Promise.resolve({ kind: "refused", refusal: { kind: "not_ready", reason: "a test" } });
  drill: Controlled["drill"] = (request) => {
    this.asked.push({ path: "/v1/drill", request });
    return { kind: "refused", refusal: { kind: "not_ready", reason: "a test" } };
  };
  checkpoint: Controlled["checkpoint"] = () =>
    Promise.resolve({ kind: "done", done: { position: 4, chunksWritten: 1, chunksReused: 0, ms: 1 } });
}

const parsedOrUndefined = (body: string): unknown => {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
};

test("a host asks its life only what is whole and valid, and names what is wrong with the rest", async () => {
  const dice = new SeededRandom(1);
  const host = new Watched();
  const app = controlApp(host, {
    authenticator: clusterSecret("right"),
    clock: systemClock,
    metrics: new PrometheusMetrics(hostMetrics),
    log: systemLog("host"),
  });
  let refused = 0;
  for (let round = 0; round < 3_000; round++) {
    const isPromote = dice.chance(0.5);
    const path = isPromote ? "/v1/promote" : "/v1/demote";
    const body = text(dice, isPromote ? promote : demote);
    host.asked.length = 0;
    const answer = await app.request(path, { method: "POST", body, headers: { authorization: "Bearer right" } });
    const isValid = v.is(isPromote ? promoteRequestSchema : demoteRequestSchema, parsedOrUndefined(body));
    expect({ body, status: answer.status, asked: host.asked.length }).toEqual({
      body,
      status: isValid ? 200 : 400,
      asked: isValid ? 1 : 0,
    });
    const said: unknown = await answer.json();
    if (isValid) expect(said).toEqual({ kind: "refused", refusal: { kind: "not_ready", reason: "a test" } });
    else
      expect(said).toEqual({
        error: expect.any(String) as unknown,
        code: "malformed",
        advice: expect.any(String) as unknown,
      });
    if (!isValid) refused += 1;
  }
  expect(refused).toBeGreaterThan(1_000);
  expect(refused).toBeLessThan(2_900);
});

test("no number beyond what is exact is an epoch or a position: a gateway that believed it could never be told of a higher one", () => {
  for (const large of [2 ** 53, 1e300]) {
    expect(v.is(hostStatusSchema, { ...status, epoch: large })).toBe(false);
    expect(v.is(hostStatusSchema, { ...status, position: large })).toBe(false);
    expect(v.is(promoteRequestSchema, { ...promote, epoch: large })).toBe(false);
    expect(v.is(promoteEventSchema, { kind: "done", epoch: large, position: 1, dataUrl: "http://a" })).toBe(false);
  }
  expect(v.is(hostStatusSchema, { ...status, epoch: 2 ** 53 - 1 })).toBe(true);
});

/** A host that answers each call with the next script, cut into pieces, and then ends it. */
async function scripted(scripts: string[]): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer(
    sealedHandler("right", { role: "host", id: "notes/a" }, (_, response) => {
      const body = Buffer.from(scripts.shift() ?? "");
      response.writeHead(200, { "content-type": "application/x-ndjson", connection: "close" });
      for (let at = 0; at < body.length; at += 97) response.write(body.subarray(at, at + 97));
      response.end();
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

/** Lines up to the first that is not valid: what a reader may take. */
function takeable(script: string, schema: v.GenericSchema): { readonly lines: number; readonly isWhole: boolean } {
  let lines = 0;
  for (const line of script.split("\n").slice(0, -1)) {
    if (line.trim() === "") continue;
    if (!v.is(schema, parsedOrUndefined(line))) return { lines, isWhole: false };
    lines += 1;
  }
  return { lines, isWhole: true };
}

const limits = {
  connectTimeoutMs: 20_000,
  orderTimeoutMs: 20_000,
  checkpointTimeoutMs: 20_000,
  rehearsalTimeoutMs: 1_000,
};

test("a gateway takes status lines up to the first that is not valid, and learns that it was not", async () => {
  const dice = new SeededRandom(2);
  const scripts = Array.from({ length: 250 }, () =>
    Array.from(
      { length: dice.int(0, 6) },
      () =>
        (dice.chance(0.7) ? JSON.stringify(status) : text(dice, status)) +
        dice.pick(["\n", "\n", "\n", "\r\n", "\n\n", ""]),
    ).join(""),
  );
  const server = await scripted([...scripts]);
  let invalid = 0;
  for (const script of scripts) {
    const taken: HostStatus[] = [];
    const end: StreamEnd = await new HostClient(server.url, "right", systemClock, limits).streamStatus(
      (each) => void taken.push(each),
      new AbortController().signal,
    );
    const { lines, isWhole } = takeable(script, hostStatusSchema);
    expect({ script, taken: taken.length, invalid: end.kind === "invalid" }).toEqual({
      script,
      taken: lines,
      invalid: !isWhole,
    });
    for (const each of taken) expect(v.is(hostStatusSchema, each)).toBe(true);
    if (!isWhole) invalid += 1;
  }
  await server.close();
  expect(invalid).toBeGreaterThan(80);
});

test("a gateway believes in a promotion only with a whole last word", async () => {
  const dice = new SeededRandom(3);
  const words: readonly PromoteEvent[] = [
    { kind: "phase", phase: "claim", ms: 3 },
    { kind: "refused", refusal: { kind: "epoch_taken", epoch: 4, host: "b" } },
    { kind: "done", epoch: 4, position: 9, dataUrl: "http://127.0.0.1:1" },
  ];
  const scripts = Array.from({ length: 250 }, () =>
    Array.from(
      { length: dice.int(0, 4) },
      () =>
        (dice.chance(0.7) ? JSON.stringify(dice.pick(words)) : text(dice, dice.pick(words))) +
        dice.pick(["\n", "\n", "\n", ""]),
    ).join(""),
  );
  const server = await scripted([...scripts]);
  let ended = 0;
  for (const script of scripts) {
    const taken: PromoteEvent[] = [];
    const end = await new HostClient(server.url, "right", systemClock, limits).promote(
      promote,
      (event) => void taken.push(event),
      new AbortController().signal,
    );
    const { lines, isWhole } = takeable(script, promoteEventSchema);
    const last = taken.at(-1)?.kind;
    expect({ script, taken: taken.length }).toEqual({ script, taken: lines });
    expect({ script, kind: end.kind }).toEqual({
      script,
      kind: !isWhole ? "invalid" : last === "done" || last === "refused" ? "ended" : "reset",
    });
    if (end.kind === "ended") ended += 1;
  }
  await server.close();
  expect(ended).toBeGreaterThan(30);
});
