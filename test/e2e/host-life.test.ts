/**
 * What a host of real processes reports when the fault lies outside its process: no gateway watches it, its disk or its
 * path to the vault fails.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, never, openBench, runStead } from "./harness.ts";
import { canMount, withMount } from "./mounts.ts";

const withinMs = 30_000;

let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

test("a host that was removed from the registry warns within seconds in its own status and log, until it is added again", async () => {
  const cluster = await bench.cluster({ hosts: 2, gateways: 1 });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  const primary = await cluster.whenWhole(withinMs, never);
  const other = cluster.hosts.find(({ id }) => id !== primary.id);
  if (other === undefined) throw new Error("no secondary");
  const warnings = async (): Promise<string> => (await cluster.statusOf(other))?.warnings.join("\n") ?? "";
  const config = ["--config", gateway.configFile];
  expect((await runStead(["hosts", "remove", other.id, ...config])).code).toBe(0);
  const warned = await cluster.until(
    "the warning",
    5_000,
    never,
    () => "",
    async () => ((await warnings()).includes("removed from the registry") ? await warnings() : undefined),
  );
  expect(warned).toContain(`gateway ${gateway.id} at `);
  expect(warned).toContain(`stead hosts add ${other.id} ${other.controlUrl}`);
  expect(readFileSync(other.logFile, "utf8")).toContain("removed from the registry");
  expect((await runStead(["hosts", "add", other.id, other.controlUrl, ...config])).code).toBe(0);
  await cluster.until(
    "the warning to go",
    5_000,
    never,
    () => "",
    async () => ((await warnings()).includes("removed from the registry") ? undefined : true),
  );
}, 60_000);

describe.skipIf(!canMount)("a host (tests that mount a file system) whose", () => {
  test("data folder turns read-only says so in its impairments, and that it is over", async () => {
    const cluster = await bench.cluster({ hosts: 1, gateways: 0 });
    const [host] = cluster.hosts;
    if (host === undefined) throw new Error("no host");
    await cluster.start(host);
    await cluster.whenWhole(withinMs, never);
    const impairments = async () => (await cluster.statusOf(host))?.impairments ?? [];
    expect(await impairments()).toEqual([]);
    await withMount(join(host.folder, "data"), "bind", async () => {
      const found = await cluster.until(
        "the impairment",
        withinMs,
        never,
        () => "",
        async () => (await impairments())[0],
      );
      expect(found).toMatchObject({ kind: "disk", reason: expect.stringMatching(/the data folder .* is read-only/) });
    });
    await cluster.until(
      "the end of it",
      withinMs,
      never,
      () => "",
      async () => ((await impairments()).length === 0 ? true : undefined),
    );
  }, 90_000);

  test("way to the vault is read-only while it is a secondary knows that before a gateway asks it to claim", async () => {
    const cluster = await bench.cluster({ hosts: 1, gateways: 0 });
    const [host] = cluster.hosts;
    if (host === undefined) throw new Error("no host");
    await cluster.start(host);
    await cluster.whenWhole(withinMs, never);
    await cluster.clientOf(host).demote({ gateway: "test", successor: null, reason: "a test" }, () => undefined, never);
    const vaultOf = async () => (await cluster.statusOf(host))?.vault;
    await cluster.until(
      "a secondary",
      withinMs,
      never,
      () => "",
      async () => ((await cluster.statusOf(host))?.role === "secondary" ? true : undefined),
    );
    await withMount(join(bench.folder, "vault"), "bind", async () => {
      const found = await cluster.until(
        "the error",
        withinMs,
        never,
        () => "",
        async () => (await vaultOf())?.writeError ?? undefined,
      );
      expect(found).toMatch(/EROFS.*mount it read-write/);
      expect((await cluster.statusOf(host))?.impairments.map(({ kind }) => kind)).toEqual(["vault"]);
    });
    await cluster.until(
      "the end of it",
      withinMs,
      never,
      () => "",
      async () => ((await vaultOf())?.writeError === null ? true : undefined),
    );
  }, 90_000);
});
