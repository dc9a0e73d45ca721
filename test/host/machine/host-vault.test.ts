import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ClusterSecrets } from "../../../src/config/cluster-secrets.ts";
import { openHostVault } from "../../../src/host/machine/host-vault.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { configOf } from "../../support/host/fake-parts.ts";
import { makeTemporaryVault, type TemporaryVault } from "../../support/vault/temporary-vault.ts";

let vault: TemporaryVault;
let folder: string;
beforeEach(async () => {
  vault = await makeTemporaryVault();
  folder = mkdtempSync(join(tmpdir(), "stead-host-vault-"));
  mkdirSync(join(folder, "state"));
});
afterEach(async () => {
  await vault.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test.each([
  ["0755", true],
  ["0700", false],
] as const)("a host opens its vault of mode %s, and warns if others can read it: %p", async (mode, isNamed) => {
  chmodSync(vault.folder, mode);
  const warnings: string[] = [];
  const log = { info: () => undefined, warn: (text: string) => void warnings.push(text), error: () => undefined };
  const config = configOf(folder, { vaultUrl: pathToFileURL(vault.folder).href, vaultTimeoutMs: 10_000 });
  const secrets = new ClusterSecrets({ secret: config.secret, from: undefined, clock: systemClock, log });
  const opened = await openHostVault(config, {
    ...{ clock: systemClock, metrics: new PrometheusMetrics(hostMetrics), log, secrets },
  });
  let isReleased = false;
  const close = opened.own({ release: () => (isReleased = true) });
  expect(opened.identity.service).toBe(config.service);
  expect(warnings).toEqual(isNamed ? [expect.stringContaining(`chmod o-rwx ${vault.folder}`)] : []);
  await close();
  expect(isReleased).toBe(true);
  secrets.close();
});
