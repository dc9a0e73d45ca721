/** A cluster's status as the admin API tells it, healthy unless the test says otherwise. */
import type { ClusterHost, ClusterService, ClusterStatus } from "../../../src/control/gateway-api.ts";
import type { DrillEntry } from "../../../src/control/drill-api.ts";
import type { FailoverEntry } from "../../../src/control/failover-api.ts";
import { untold } from "../../../src/control/host-status.ts";

export const host = (change: Partial<ClusterHost> = {}): ClusterHost => {
  const { watchedRequests: _, ...told } = untold;
  return {
    ...{ id: "a", controlUrl: "http://127.0.0.1:1", dataUrl: "http://127.0.0.1:2", health: "up", role: "secondary" },
    ...{ reason: null, epoch: 3, position: 100, lag: 0, priority: 0, nofailover: false, heardMsAgo: 50 },
    ...{ checkpoint: { position: 90, wallTimeMs: 1_700_000_000_000 }, setAside: [], notes: [] },
    lease: { ms: 5_000, lastRecordAgeMs: 400 },
    ...told,
    ...change,
  };
};

export const drillEntry = (change: Partial<DrillEntry> = {}): DrillEntry => ({
  ...{ id: "g1.notes.1.1", service: "notes", kind: "kill", gateway: "g1", orderedBy: "ann", outcome: "passed" },
  ...{ startedAtMs: 1_700_000_000_000, dueAtMs: null, from: "a", to: "b", failover: null, predictedMs: 400 },
  ...{ rtoMs: 412.4, measuredBy: "clients", objectiveMs: 2_000, detail: "a kill failover" },
  ...{ rpoMs: null, probeWrites: null, probeLost: null, phases: [] },
  ...change,
});

const noPhases = {
  ...{ detect: null, agree: null, demote: null, claim: null, lease: null, catchUp: null, start: null, route: null },
  ...{ wait: null, retry: null },
};

export const failoverEntry = (
  change: Partial<Omit<FailoverEntry, "phases">> & { readonly phases?: Partial<FailoverEntry["phases"]> } = {},
): FailoverEntry => ({
  ...{ id: "g1.notes.1.1", service: "notes", gateway: "g1", kind: "kill", outcome: "done", from: "b", to: "a" },
  ...{ epochFrom: 2, epochTo: 3, attempts: 1, decidedAtMs: 1_700_000_000_000, gapMs: 480, gapStartMs: -20 },
  ...{ timeline: [], predictedMs: 500, cause: "its process ended" },
  ...change,
  phases: {
    ...noPhases,
    detect: 110,
    agree: 3,
    claim: 40,
    catchUp: 5,
    start: 250,
    lease: 60,
    route: 2,
    ...change.phases,
  },
});

export const service = (change: Partial<ClusterService> = {}): ClusterService => ({
  ...{
    name: "notes",
    phase: "serving",
    reason: null,
    primary: "a",
    epoch: 3,
    paused: false,
    pause: null,
    maintenance: null,
    routedTo: "a",
    row: null,
  },
  vault: { state: "well", forMs: 0 },
  waiting: { requests: 0, bytes: 0 },
  requests: { ok: 10, held: 1, replayed: 1, unknown: 0, failed: 0, clientGone: 0, maintenance: 0 },
  requestsPerSecond: 12,
  hosts: [host({ role: "primary" }), host({ id: "b" }), host({ id: "c", nofailover: true })],
  failovers: [failoverEntry()],
  drill: { last: null, next: null },
  events: [],
  ...change,
});

export const clusterStatus = (change: Partial<ClusterStatus> = {}): ClusterStatus => ({
  ...{ version: 1, gateway: "g1", startedAtMs: 1_700_000_000_000, uptimeMs: 1_000, troubles: [], secret: null },
  program: null,
  configuration: { file: null, loadedAtMs: 1_700_000_000_000, refused: null },
  database: { path: "/var/lib/stead/gateway.db", trouble: null, queued: 0, dropped: 0 },
  ...{ connections: 5, workers: [], notify: [] },
  gateways: [
    { id: "g1", adminUrl: "http://127.0.0.1:7700", self: true, heardMsAgo: null, trouble: null },
    { id: "g2", adminUrl: "http://127.0.0.1:7701", self: false, heardMsAgo: 40, trouble: null },
  ],
  services: [service()],
  ...change,
});
