import { expect, test } from "bun:test";
import type { HostStatus } from "../../../src/control/host-status.ts";
import { showHost } from "../../../src/host/control/host-metrics.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";

const status = {
  ...{ service: "notes", host: "a", role: "primary", epoch: 3, position: 7, vaultSilentMs: null, files: null },
  ...{ impairments: [], suspects: [], application: null },
} as unknown as HostStatus;

/** The samples of a scrape, by name. */
async function scraped(changes: Partial<Record<keyof HostStatus, unknown>>): Promise<ReadonlyMap<string, string>> {
  const metrics = new PrometheusMetrics(hostMetrics);
  showHost(metrics, { ...status, ...changes } as HostStatus, { active: 2, connections: 5 });
  const lines = (await metrics.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]));
}

test("a host shows its role, where it is in the log, and its front", async () => {
  const found = await scraped({});
  expect(found.get('stead_role{role="primary"}')).toBe("1");
  expect(found.get('stead_role{role="secondary"}')).toBe("0");
  const names = ["stead_log_epoch", "stead_log_position", "stead_front_requests", "stead_front_connections"];
  expect(names.map((name) => found.get(name))).toEqual(["3", "7", "2", "5"]);
  expect(["stead_files", "stead_files_bytes", "stead_vault_silent_seconds"].map((name) => found.get(name))).toEqual([
    ...[undefined, undefined, undefined],
  ]);
});

test("an application that there is none of, or that was stopped, is neither ready nor not", async () => {
  const ready = async (application: unknown): Promise<string | undefined> =>
    (await scraped({ application })).get("stead_application_ready");
  expect(await ready(null)).toBeUndefined();
  expect(await ready({ state: "stopped" })).toBeUndefined();
  expect(await ready({ state: "starting" })).toBe("0");
  expect(await ready({ state: "ready" })).toBe("1");
});
