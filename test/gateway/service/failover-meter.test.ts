import { expect, test } from "bun:test";
import type { Failover, FailoverOutcome, PhaseDurations } from "../../../src/core/failover/state.ts";
import { Recorder } from "../../../src/gateway/service/recorder.ts";
import type { StateStore } from "../../../src/gateway/state/store.ts";
import { gatewayMetrics } from "../../../src/metrics/gateway-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { sampleOf } from "../../support/metrics/promtool.ts";

function begin() {
  const metrics = new PrometheusMetrics(gatewayMetrics);
  const silent = () => undefined;
  const log = { info: silent, warn: silent, error: silent };
  const store = { write: silent } as unknown as StateStore;
  const recorder = new Recorder({ gateway: "g1", service: "notes", clock: new ManualClock(), log, metrics, store });
  const tell = (key: number, outcome: FailoverOutcome, phases: PhaseDurations = {}): void =>
    recorder.failover(
      {
        key,
        phases,
        timeline: [],
        kind: "lost",
        from: "a",
        to: "b",
        epochFrom: key,
        epochTo: key + 1,
        attempts: 1,
        decidedAt: 0,
        cause: null,
      } as unknown as Failover,
      outcome,
    );
  const sample = async (name: string): Promise<number | undefined> => sampleOf(await metrics.text(), name);
  return { recorder, tell, sample };
}

const done = 'stead_failovers_total{service="notes"}';
const phase = (name: string): string => `stead_failover_phase_seconds_count{service="notes",phase="${name}"}`;

test("failovers are counted beyond the hundred that the status lists, each once although it is reported several times", async () => {
  const { recorder, tell, sample } = begin();
  expect(await sample(done)).toBe(0);
  for (let key = 1; key <= 250; key++) {
    tell(key, "running");
    tell(key, "running", { detect: 3 });
    tell(key, "done", { detect: 3, claim: 20 });
    tell(key, "done", { detect: 3, claim: 20, route: 1 });
    recorder.gap(key, 300, -20);
    expect(await sample(done)).toBe(key);
  }
  expect(recorder.failovers.length).toBe(100);
  for (const name of ["detect", "claim", "route"]) expect([name, await sample(phase(name))]).toEqual([name, 250]);
  expect(await sample('stead_failover_gap_seconds_count{service="notes"}')).toBe(250);
  expect(await sample('stead_failover_gap_seconds_bucket{service="notes",le="0.2"}')).toBe(0);
  expect(await sample('stead_failover_gap_seconds_bucket{service="notes",le="0.3"}')).toBe(250);
});

test("a failover that did not complete is counted by its outcome, and its phases are not timed", async () => {
  const { tell, sample } = begin();
  tell(1, "running");
  tell(1, "recovered", { detect: 3 });
  tell(2, "overtaken");
  tell(2, "overtaken");
  const abandoned = await Promise.all(
    ["recovered", "overtaken", "refused"].map((outcome) =>
      sample(`stead_failovers_abandoned_total{service="notes",outcome="${outcome}"}`),
    ),
  );
  expect([await sample(done), ...abandoned, await sample(phase("detect"))]).toEqual([0, 1, 1, 0, undefined]);
});

test("a failover that one candidate refused and another completed counts as completed too", async () => {
  const { tell, sample } = begin();
  tell(1, "refused");
  tell(1, "running");
  tell(1, "done", { catchUp: 5 });
  expect([await sample(done), await sample(phase("catch_up"))]).toEqual([1, 1]);
});
