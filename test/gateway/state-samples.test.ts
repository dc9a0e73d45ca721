import { expect, test } from "bun:test";
import type { ClusterService } from "../../src/control/gateway-api.ts";
import { sampleEveryMs, samplesMax } from "../../src/control/samples-api.ts";
import { lookEveryMs, StateSamples } from "../../src/gateway/state-samples.ts";
import { host, service } from "../support/gateway/status.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

/** Samples of a service whose status the test changes. */
function sampled(first: ClusterService) {
  const clock = new ManualClock();
  const status = { services: [first] };
  const samples = new StateSamples({ clock, services: () => status.services });
  samples.start();
  return { clock, status, samples };
}

const vault = (latencyMs: number | null) => ({ id: "v", wroteMs: 1, writeError: null, latencyMs });
const waiting = (requests: number) => ({ waiting: { requests, bytes: 0 } });

test("a sample is the worst of the looks in its time", () => {
  const look = (requests: number, lag: number, ageMs: number, latencyMs: number): ClusterService =>
    service({
      ...waiting(requests),
      hosts: [host({ lag, lease: { ms: 5_000, lastRecordAgeMs: ageMs }, vault: vault(latencyMs) })],
    });
  const { clock, status, samples } = sampled(look(0, 0, 400, 1));
  clock.advance(lookEveryMs);
  status.services = [look(7, 3, 5_200, 9.0123)];
  clock.advance(lookEveryMs);
  status.services = [look(1, 1, 300, 2)];
  expect(samples.of("notes")).toEqual({
    ...{ service: "notes", everyMs: sampleEveryMs, taken: 0, held: [] },
    hosts: [{ host: "a", lag: [], leaseLeftMs: [], vaultMs: [] }],
  });
  clock.advance(sampleEveryMs - 2 * lookEveryMs);
  const { taken, held, hosts } = samples.of("notes");
  expect([taken, held, hosts]).toEqual([1, [7], [{ host: "a", lag: [3], leaseLeftMs: [-200], vaultMs: [9] }]]);
  clock.advance(sampleEveryMs);
  expect(samples.of("notes").hosts[0]?.leaseLeftMs).toEqual([-200, 4_700]);
});

test("of a host that is down, or says nothing, nothing is known", () => {
  const { clock, status, samples } = sampled(
    service({ hosts: [host({ health: "down", lag: 4, vault: vault(3) }), host({ id: "b", lease: null, lag: null })] }),
  );
  clock.advance(sampleEveryMs);
  const nothing = { lag: [null], leaseLeftMs: [null], vaultMs: [null] };
  expect(samples.of("notes").hosts).toEqual([
    { host: "a", ...nothing },
    { host: "b", ...nothing },
  ]);
  status.services = [service({ hosts: [host({ id: "b" })] })];
  clock.advance(sampleEveryMs);
  expect(samples.of("notes").hosts.map((each) => [each.host, each.lag])).toEqual([["b", [null, 0]]]);
});

test("an hour is kept, of services that are there, until it is closed", () => {
  const { clock, status, samples } = sampled(service({ ...waiting(1), hosts: [host()] }));
  clock.advance(sampleEveryMs);
  status.services = [service({ ...waiting(2), hosts: [host()] })];
  clock.advance(sampleEveryMs * samplesMax);
  const { taken, held, hosts } = samples.of("notes");
  expect([taken, held.length, held[0], hosts[0]?.lag.length]).toEqual([samplesMax + 1, samplesMax, 2, samplesMax]);
  status.services = [];
  clock.advance(lookEveryMs);
  expect(samples.of("notes").held).toEqual([]);
  samples.close();
  expect(clock.timers).toBe(0);
});
