/**
 * The page of a large cluster: 50 hosts and 10 gateways as their status tells of them, and the database of a gateway
 * that has seen 1,000 failovers, with the reader process that answers its statements.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hono } from "hono";
import type { ClusterStatus } from "../../../src/control/gateway-api.ts";
import { sampleEveryMs, type SamplesAnswer, samplesMax } from "../../../src/control/samples-api.ts";
import type { RestorePointsAnswer } from "../../../src/control/restore-points.ts";
import { checkpointsListed } from "../../../src/host/secondary/restore-points.ts";
import { failoverEntry as entryOf } from "../../../src/gateway/admin/cluster-status.ts";
import { createPage } from "../../../src/gateway/page/page.tsx";
import { failoversOf } from "../../../src/gateway/service/failover-history.ts";
import { differencesMax, reloadsMax } from "../../../src/gateway/reload-history.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import {
  addEvent,
  type FailoverRow,
  putDrill,
  putFailover,
  putImpact,
  putHealth,
} from "../../../src/gateway/state/rows.ts";
import { SqlQueries } from "../../../src/gateway/state/sql-queries.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { reader } from "./cluster.ts";
import { clusterStatus, host, service } from "./status.ts";

export const largeToken = `stead_${"0".repeat(16)}_${"x".repeat(43)}`;
export const failoverCount = 1_000;
export const hostCount = 50;
export const gatewayCount = 10;
const firstAtMs = 1_700_000_000_000;
const hourMs = 3_600_000;

export interface LargePage {
  readonly app: Hono;
  /** Of the newest failover. */
  readonly newest: string;
  close(): Promise<void>;
}

export async function largePage(): Promise<LargePage> {
  const folder = mkdtempSync(join(tmpdir(), "stead-large-"));
  const path = join(folder, "gateway.db");
  const store = new StateStore({
    disk: fileDisk(path),
    gateway: "g1",
    clock: systemClock,
    random: systemRandom,
  });
  await store.open();
  await fill(store);
  const queries = new SqlQueries({ command: reader, path, clock: systemClock });
  let looks = 0;
  const app = createPage({
    ...{ gateway: "g1", isSecure: false, clock: systemClock, random: systemRandom },
    holderOf: (token) =>
      token === largeToken ? { kind: "token", id: "1", name: "night-shift", role: "operator" } : undefined,
    async api(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/v1/cluster") return Response.json(largeStatus(store, looks++));
      if (pathname.startsWith("/v1/restore-points/")) return Response.json(largeRestorePoints);
      if (pathname.startsWith("/v1/samples/")) return Response.json(largeSamples);
      if (pathname === "/v1/sight") return Response.json(largeSight);
      if (pathname === "/v1/drills") return Response.json({ drills: largeDrills });
      if (pathname === "/v1/config") return Response.json(largeConfiguration);
      if (pathname === "/v1/sql") {
        const { sql, rowsMax } = (await request.json()) as { sql: string; rowsMax: number };
        const answer = await queries.query({ kind: "query", sql, rowsMax }, 10_000);
        return answer.kind === "rows"
          ? Response.json(answer)
          : Response.json({ error: JSON.stringify(answer), advice: "" }, { status: 400 });
      }
      return Response.json(pathname.startsWith("/v1/dry-run/") ? largeDryRun : {});
    },
  });
  return {
    app,
    newest: idOf(failoverCount - 1),
    async close() {
      queries.close();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const idOf = (index: number): string => `g${(index % gatewayCount) + 1}.notes.1.${index}`;
const hostIds = Array.from({ length: hostCount }, (_, index) => `host-${index}`);

async function fill(store: StateStore): Promise<void> {
  for (let index = 0; index < failoverCount; index++) {
    store.write(putFailover(failoverRow(index)));
    for (let event = 0; event < 10; event++)
      store.write(
        addEvent({
          id: `${index}.${event}`,
          atMs: firstAtMs + index * hourMs + event * 10,
          gateway: `g${(event % gatewayCount) + 1}`,
          service: "notes",
          host: `host-${index % hostCount}`,
          level: event % 3 === 0 ? "warning" : "info",
          what: event % 3 === 0 ? "primary-lost" : "primary-found",
          detail: `host-${index % hostCount}: its process ended, and its address refuses connections`,
        }),
      );
    if (index % 10 === 0) store.write(putDrill(drillRow(index)));
    if (index >= failoverCount - 20)
      for (let gateway = 1; gateway <= gatewayCount; gateway++)
        store.write(
          putImpact({
            ...{ service: "notes", epochFrom: index + 1, gateway: `g${gateway}`, atMs: firstAtMs + index * hourMs },
            ...{ held: 12, replayed: 3, unknown: 1, failed: 0 },
          }),
        );
    // In small parts, as writes come: the queue to the disk is bounded.
    if (index % 100 === 99) await store.flush();
  }
  for (let gateway = 1; gateway <= gatewayCount; gateway++)
    for (const id of hostIds)
      store.write(
        putHealth({
          ...{ gateway: `g${gateway}`, service: "notes", host: id, health: "up", role: "secondary" },
          ...{ epoch: failoverCount, position: 1_000, changedAtMs: firstAtMs },
        }),
      );
  while (store.queued > 0) await store.flush();
}

const failoverRow = (index: number): FailoverRow => ({
  ...{ id: idOf(index), service: "notes", gateway: `g${(index % gatewayCount) + 1}`, kind: "kill", outcome: "done" },
  ...{ fromHost: `host-${index % hostCount}`, toHost: `host-${(index + 1) % hostCount}`, attempts: 1 },
  ...{ epochFrom: index + 1, epochTo: index + 2, decidedAtMs: firstAtMs + index * hourMs },
  ...{ detectMs: 80 + (index % 7) * 30, agreeMs: 3, claimMs: 40, startMs: 150 + (index % 11) * 60, routeMs: 2 },
  ...{ gapMs: 400 + (index % 11) * 70, gapStartMs: -90, predictedMs: 500, cause: "its process ended" },
  ...(index < failoverCount - 20 ? {} : known),
  timeline: JSON.stringify([
    { phase: "detect", startMs: -80 - (index % 7) * 30, ms: 80 + (index % 7) * 30 },
    { phase: "agree", startMs: 0, ms: 3 },
    { phase: "claim", startMs: 3, ms: 40 },
    { phase: "start", startMs: 43, ms: 150 + (index % 11) * 60 },
    { phase: "route", startMs: 193 + (index % 11) * 60, ms: 2 },
  ]),
});

/** As much as a failover of so many hosts keeps; only the newest have it, as after an upgrade. */
const known = {
  candidates: JSON.stringify(
    hostIds.map((host, index) => ({
      ...{ host, rank: index % 9 === 4 ? null : index + 1 },
      why: index % 9 === 4 ? "its address refuses connections" : "follows the log and is healthy",
    })),
  ),
  evidence: JSON.stringify(
    Array.from({ length: gatewayCount }, (_, index) => ({
      ...{ gateway: `g${index + 1}`, sees: "down", ageMs: index * 30, cause: index === 0 ? "refused" : null },
    })),
  ),
  prediction: JSON.stringify(
    ["detect", "agree", "claim", "start", "route"].map((phase) => ({
      ...{ phase, startMs: 0, ms: 100, source: "measured", failovers: 5 },
    })),
  ),
};

const drillRow = (index: number) => ({
  ...{ id: `g1.notes.${index}.1`, service: "notes", kind: "kill", gateway: "g1", orderedBy: "night-shift" },
  ...{ startedAtMs: firstAtMs + index * hourMs, outcome: "passed", fromHost: "host-0", toHost: "host-1" },
  ...{ failover: idOf(index), predictedMs: 500, rtoMs: 480, measuredBy: "clients", detail: "a kill failover" },
});

/** One change per look: the positions. */
function largeStatus(store: StateStore, looks: number): ClusterStatus {
  const position = 1_000 + looks * 17;
  const hosts = hostIds.map((id, index) =>
    host({
      ...{ id, role: index === 0 ? "primary" : "secondary", position, lag: index % 3 },
      ...(index % 9 === 4 ? { health: "down", reason: "its address refuses connections" } : {}),
      suspects: [{ method: "POST", path: `/import/${index}`, endings: 2, trialInMs: 42_000, pauseMs: 120_000 }],
    }),
  );
  const gateways = Array.from({ length: gatewayCount }, (_, index) => ({
    ...{ id: `g${index + 1}`, adminUrl: `http://10.0.0.${index}:7700`, self: index === 0, heardMsAgo: 40 },
    trouble: index === 7 ? "connection refused" : null,
  }));
  const failovers = failoversOf(store, "notes").map(entryOf);
  const services = [service({ primary: "host-0", routedTo: "host-0", hosts, failovers })];
  return clusterStatus({ gateways, services });
}

/** A whole hour, in which no sample is as the one before. */
const largeSamples: SamplesAnswer = {
  ...{ service: "notes", everyMs: sampleEveryMs, taken: 1_003, held: series(0) },
  hosts: hostIds.map((host, index) => ({
    host,
    ...{
      lag: series(index),
      leaseLeftMs: series(index).map((value) => 4_600 - value * 50),
      vaultMs: series(index + 3),
    },
  })),
};

function series(seed: number): number[] {
  return Array.from({ length: samplesMax }, (_, index) =>
    Math.round(48 + 30 * Math.sin((index + seed * 17) / 30) + ((index * 7919 + seed * 104_729) % 19)),
  );
}

const largeRestorePoints: RestorePointsAnswer = {
  ...{ service: "notes", host: "host-1", total: 168, damaged: [] },
  checkpoints: Array.from({ length: checkpointsListed }, (_, index) => ({
    ...{ position: 900_000 - index * 5_000, wallTimeMs: firstAtMs - index * hourMs, databases: 1_000, bytes: 2 ** 40 },
  })),
  earliest: { position: 65_000, wallTimeMs: firstAtMs - 167 * hourMs },
  older: Array.from({ length: 1_000 }, (_, index) => ({
    ...{ position: 64_000 - index * 64, wallTimeMs: firstAtMs - (168 + index) * hourMs },
  })),
  ...{
    latest: { position: 904_211, wallTimeMs: firstAtMs + 900_000 },
    keep: { checkpoints: 3, windowMs: 167 * hourMs },
  },
};

const gatewayIds = Array.from({ length: gatewayCount }, (_, index) => `g${index + 1}`);
const largeSight = {
  services: [
    {
      service: "notes",
      views: gatewayIds.map((gateway, index) => ({
        ...{ gateway, saidMsAgo: index * 300 },
        hosts: hostIds.map((id, at) => ({
          ...{ host: id, health: at % 9 === 4 ? "down" : "up", latencyMs: 1 + (at % 7) / 3, ageMs: 20 * index },
        })),
        gateways: gatewayIds.filter((id) => id !== gateway).map((id) => ({ gateway: id, ageMs: 200 })),
      })),
    },
  ],
};
const largeDrills = Array.from({ length: 100 }, (_, index) => {
  const { id, fromHost, toHost, ...row } = drillRow(index);
  return { ...row, id, from: fromHost, to: toHost, objectiveMs: 2_000 };
});

const largeDryRun = {
  ...{ service: "notes", phase: "serving", primary: "host-0", epoch: 3, wouldPromote: "host-1", but: [] },
  ...{ order: hostIds.slice(1, 40), obstacles: [], forceMayLose: "", expected: [] },
  whyNot: hostIds.slice(40).map((id) => ({ host: id, why: "its address refuses connections" })),
};

const largeConfiguration = {
  configuration: { file: "/etc/stead/gateway.toml", loadedAtMs: firstAtMs, refused: null },
  settings: Object.fromEntries(
    hostIds.flatMap((id) =>
      ["controlUrl", "priority", "nofailover"].map((key) => [`services.notes.hosts.${id}.${key}`, "as in the file"]),
    ),
  ),
  decidedAtRunTime: hostIds.map((id) => `services.notes.hosts.${id}`),
  reloads: Array.from({ length: reloadsMax }, (_, index) => ({
    ...{ atMs: firstAtMs + index * hourMs, refused: index % 4 === 0 ? "gateway.listen cannot change" : null },
    ...{ differencesLeftOut: 7 },
    differences: Array.from({ length: differencesMax }, (__, at) => ({
      ...{ key: `service notes: host host-${at}`, before: "http://10.0.0.1:7701, priority 1" },
      after: "http://10.0.0.2:7701, nofailover",
    })),
  })),
};
