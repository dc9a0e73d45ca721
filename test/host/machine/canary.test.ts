import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Canary, type CanaryOptions } from "../../../src/host/machine/canary.ts";
import { describeDescriptors, type DiskPlace, diskPlaces } from "../../../src/host/machine/disk-places.ts";
import { Warnings } from "../../../src/host/ports/warnings.ts";
import { VaultProbe } from "../../../src/host/machine/vault-probe.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { ensureIdentity } from "../../../src/vault/store/identity.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { StoreError } from "../../../src/vault/store/store.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { until } from "../../support/host/log-fixture.ts";

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "stead-canary-"));
  ends.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const placeOf = (write: () => Promise<void>): DiskPlace => ({
  name: "the data folder /data",
  write,
  clear: () => Promise.resolve(),
});
const failure = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });

async function canaryOf(
  changes: Partial<CanaryOptions> & { readonly store?: FaultyStore } = {},
): Promise<{ canary: Canary; store: FaultyStore; warnings: Warnings }> {
  const store = changes.store ?? new FaultyStore(new MemoryStore());
  const { id } = await ensureIdentity(store.inner, "notes");
  const warnings = new Warnings(
    { info: () => undefined, warn: () => undefined, error: () => undefined },
    () => undefined,
  );
  const ports = { places: [], describeDescriptors: () => Promise.resolve("this process has 3 of 3 descriptors open") };
  const canary = new Canary({
    ports,
    clock: systemClock,
    vaultId: id,
    host: "a",
    instance: "run",
    diskStallMs: 5_000,
    warnings,
    onChange: () => undefined,
    ...changes,
    store,
  });
  ends.push(() => canary.close());
  canary.start();
  return { canary, store, warnings };
}

const withPlace = (write: () => Promise<void>): Pick<CanaryOptions, "ports"> => ({
  ports: {
    places: [placeOf(write)],
    describeDescriptors: () => Promise.resolve("this process has 3 of 3 descriptors open"),
  },
});

describe("the canary", () => {
  test("names a disk that is read-only, in the status and in the warnings", async () => {
    const { canary, warnings } = await canaryOf(withPlace(() => Promise.reject(failure("EROFS"))));
    await until(() => canary.impairments.length > 0);
    expect(canary.impairments[0]).toMatchObject({ kind: "disk", reason: "the data folder /data is read-only" });
    expect(warnings.texts).toEqual(["the data folder /data is read-only"]);
  });

  test("finds a disk that hangs by the answer that is missing, asks it once only, and is not held up by it", async () => {
    let asked = 0;
    let release: () => void = () => undefined;
    const hang = withPlace(() => {
      asked += 1;
      return new Promise<void>((resolve) => (release = resolve));
    });
    const { canary, warnings } = await canaryOf({ ...hang, diskStallMs: 20 });
    await until(() => warnings.texts.length > 0);
    expect(warnings.texts[0]).toContain("has not answered a small write for more than 20 ms");
    expect([asked, canary.impairments.map(({ kind }) => kind)]).toEqual([1, ["disk"]]);
    release();
    await until(() => canary.impairments.length === 0);
    expect(warnings.texts).toEqual([]);
  });

  test("names descriptors that ran out, and does not blame the disk", async () => {
    const { canary } = await canaryOf(withPlace(() => Promise.reject(failure("EMFILE"))));
    await until(() => canary.impairments.length > 0);
    expect(canary.impairments).toMatchObject([
      { kind: "descriptors", reason: "no descriptor is left: this process has 3 of 3 descriptors open" },
    ]);
  });

  test("finds out that this host cannot write the vault which it can read, and that it can again", async () => {
    const store = new FaultyStore(new MemoryStore());
    let isReadOnly = true;
    store.beforePut = () =>
      isReadOnly ? Promise.reject(new StoreError("denied", "EROFS", "Mount it read-write.")) : Promise.resolve();
    const { canary } = await canaryOf({ store });
    await until(() => canary.vault.writeError !== undefined);
    expect(canary.vault).toMatchObject({
      wroteMs: undefined,
      writeError: "the vault cannot be used from this host: EROFS (Mount it read-write.)",
    });
    expect(canary.impairments.map(({ kind }) => kind)).toEqual(["vault"]);
    isReadOnly = false;
    await until(() => canary.vault.writeError === undefined);
    expect(canary.vault.wroteMs).toBeGreaterThanOrEqual(0);
    expect(canary.impairments).toEqual([]);
    expect(await store.inner.list("probes/")).toEqual([]);
  });

  test("says that the share is not mounted when the identity of the vault is gone", async () => {
    const store = new FaultyStore(new MemoryStore());
    const empty = new MemoryStore();
    store.get = (key) => empty.get(key);
    const { canary } = await canaryOf({ store });
    await until(() => canary.impairments.length > 0);
    expect(canary.vault).toMatchObject({
      id: undefined,
      writeError: expect.stringContaining("is the shared area mounted?"),
    });
    expect(await store.inner.list("probes/")).toEqual([]);
  });

  test("learns of the vault by the host's own puts too", async () => {
    const { canary, store } = await canaryOf({ ports: undefined });
    await canary.store.putIfAbsent("log/1", new Uint8Array(1));
    expect(canary.vault.latencyMs).toBeGreaterThanOrEqual(0);
    store.beforePut = () =>
      Promise.reject(new StoreError("full", "no space", "Free space.", { cause: failure("ENOSPC") }));
    await canary.store.putIfAbsent("log/2", new Uint8Array(1)).catch(() => undefined);
    expect(canary.vault.writeError).toContain("no space");
  });
});

describe("the probe of the vault", () => {
  test("leaves nothing behind, and removes what an earlier run of the host left, and no other host's", async () => {
    const store = new MemoryStore();
    for (const key of ["probes/a/old-1", "probes/b/other-1"]) await store.putIfAbsent(key, new Uint8Array(1));
    const probe = new VaultProbe({ store, host: "a", instance: "run" });
    await probe.write();
    await probe.write();
    expect(await store.list("probes/")).toEqual(["probes/b/other-1"]);
  });

  test("that finds its object there already writes another: the old one proves nothing about now", async () => {
    const store = new FaultyStore(new MemoryStore());
    const probe = new VaultProbe({ store, host: "a", instance: "run" });
    await probe.write();
    await store.inner.putIfAbsent("probes/a/run-2", new Uint8Array(1));
    let puts = 0;
    store.beforePut = () => Promise.resolve(void (puts += 1));
    await probe.write();
    expect(puts).toBe(2);
    expect(await store.list("probes/")).toEqual([]);
  });
});

describe("the places of a host's disks", () => {
  test("are written, and left clean", async () => {
    const root = folder();
    const [dataFolder, stateFolder] = [join(root, "data"), join(root, "state")];
    for (const path of [dataFolder, stateFolder]) mkdirSync(path);
    const places = await diskPlaces({ dataFolder, stateFolder });
    for (const place of places) await place.write();
    // Both are on one file system here: the application's folder gets no file.
    expect([existsSync(join(stateFolder, ".stead-canary")), existsSync(join(dataFolder, ".stead-canary"))]).toEqual([
      true,
      false,
    ]);
    for (const place of places) await place.clear();
    expect(existsSync(join(stateFolder, ".stead-canary"))).toBe(false);
    rmSync(dataFolder, { recursive: true });
    expect(await places[1]?.write().catch((error: unknown) => String(error))).toContain("ENOENT");
  });

  test("say how many descriptors there are", async () => {
    expect(await describeDescriptors()).toMatch(
      /this process has (\d+|all) of (\d+|its) descriptors open; raise LimitNOFILE/,
    );
  });
});
