/** The copies of a primary's vault, with places that fail, hang and come back. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { VaultCopyConfig } from "../../src/config/vault-copy.ts";
import type { VaultCopyStatus } from "../../src/control/vault-copy.ts";
import { VaultCopies } from "../../src/host/vault-copies.ts";
import type { Written } from "../../src/host/ports/ports.ts";
import { Warnings } from "../../src/host/ports/warnings.ts";
import { ForwardingStore, type StoreOperation } from "../../src/vault/store/forwarding-store.ts";
import { MemoryStore } from "../../src/vault/store/memory-store.ts";
import { StoreError } from "../../src/vault/store/store.ts";
import { ManualClock } from "../support/http/manual-clock.ts";
import { FilledVault, policy } from "../support/vault/filled-vault.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const place: VaultCopyConfig = { url: "memory:copy", s3: undefined };

/** A place that answers, fails or hangs. */
class Place extends ForwardingStore {
  state: "well" | "full" | "hanging" = "well";
  isClosed = false;

  override async perform<T>(operation: StoreOperation, key: string, run: () => Promise<T>): Promise<T> {
    if (this.state === "hanging") return new Promise(() => undefined);
    if (this.state === "full" && operation === "put") throw new StoreError("full", `no space for ${key}`, "make room");
    return run();
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

let vault: FilledVault;
let store: Place;
let clock: ManualClock;
let copies: VaultCopies;
let warnings: Warnings;
let configured: readonly VaultCopyConfig[];
let isPrimary: boolean;

beforeEach(async () => {
  vault = await new FilledVault().begin();
  await vault.commit(5);
  store = new Place(new MemoryStore("memory:copy"));
  clock = new ManualClock();
  warnings = new Warnings(silent, () => undefined);
  configured = [place];
  isPrimary = true;
  const written = (): Written | undefined =>
    isPrimary ? { position: vault.writer.position, bytes: vault.writer.position * 100 } : undefined;
  copies = new VaultCopies({
    ports: { source: vault.raw, identity: vault.identity, open: () => Promise.resolve(store) },
    ...{ clock, log: silent, vaultLog: vault.log, keys: undefined, policy: () => policy, written, warnings },
    configured: () => configured,
    onChange: () => undefined,
  });
  copies.start();
});
afterEach(async () => {
  store.state = "well";
  const closed = copies.close();
  await tick(100_000);
  await closed;
});

async function tick(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.advance(500);
    for (let turn = 0; turn < 60; turn += 1) await Promise.resolve();
  }
}

/** Lets time pass until the status of the copy is as wanted. */
async function until(isWanted: (status: VaultCopyStatus | undefined) => boolean): Promise<VaultCopyStatus | undefined> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    const [status] = copies.statuses;
    if (isWanted(status)) return status;
    await tick(500);
  }
  throw new Error(`the status stays ${JSON.stringify(copies.statuses)}`);
}

test("a primary's vault is copied, and the status says how far", async () => {
  const status = await until((copy) => copy?.position === vault.writer.position);
  expect(status).toEqual({
    ...{ to: "memory:copy", position: 6, checkpoint: 0, lagMs: 0, lagBytes: 0, isStalled: false, error: null },
  });
});

test("a secondary copies nothing, and releases the place", async () => {
  await until((copy) => copy?.position === vault.writer.position);
  isPrimary = false;
  await until((copy) => copy === undefined && store.isClosed);
});

test("a full place is a status with the error, then a warning; both end when there is room", async () => {
  await until((copy) => copy?.position === vault.writer.position);
  store.state = "full";
  await vault.commit(3);
  const failed = await until((copy) => copy?.error !== null && copy?.error !== undefined);
  expect(failed).toMatchObject({ position: 6, lagBytes: 300 });
  expect(failed?.error).toContain("no space");
  await until((copy) => copy?.isStalled === true);
  expect(warnings.texts.join()).toContain("memory:copy makes no progress (it ends at position 6)");
  store.state = "well";
  await until((copy) => copy?.position === vault.writer.position && copy.error === null);
  await tick(2_000);
  expect(warnings.texts).toEqual([]);
});

test("a place that does not answer is a failure after a while, and the copy continues when it answers again", async () => {
  await until((copy) => copy?.position === vault.writer.position);
  store.state = "hanging";
  await vault.commit(3);
  const failed = await until((copy) => copy?.isStalled === true && copy.error !== null);
  expect(failed).toMatchObject({ position: 6, lagBytes: 300 });
  expect(failed?.error).toContain("no answer within");
});

test("places are taken and released as the configuration changes", async () => {
  await until((copy) => copy?.position === vault.writer.position);
  configured = [];
  await until((copy) => copy === undefined && store.isClosed);
  configured = [{ ...place, url: "memory:other" }];
  store = new Place(new MemoryStore("memory:other"));
  await until((copy) => copy?.to === "memory:other" && copy.position === vault.writer.position);
});
