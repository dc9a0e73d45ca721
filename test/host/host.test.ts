import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { localDatabases } from "../../src/capture/local-state.ts";
import { Replica } from "../../src/capture/replica.ts";
import { Source } from "../../src/capture/source.ts";
import type { HostConfig } from "../../src/config/types.ts";
import type { DemoteEvent, PromoteEvent, PromoteRequest } from "../../src/control/host-api.ts";
import { allRules } from "../../src/core/rules.ts";
import { ApplicationError } from "../../src/host/application/application-error.ts";
import type { RehearsalGround } from "../../src/host/application/rehearsal-ground.ts";
import { Host } from "../../src/host/host.ts";
import type { RestoreTestPorts } from "../../src/host/restore-tests.ts";
import { LocalData } from "../../src/host/secondary/local-data.ts";
import { noMetrics } from "../../src/metrics/metrics.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { MemoryStore } from "../../src/vault/store/memory-store.ts";
import { StoreError } from "../../src/vault/store/store.ts";
import { configOf, FakeApplication, FakeFront } from "../support/host/fake-parts.ts";
import { listCheckpoints, readManifest } from "../../src/vault/checkpoint/checkpoint.ts";
import { FaultyStore } from "../support/vault/faulty-store.ts";
import { claimAs, readerFromStart, until } from "../support/host/log-fixture.ts";

const folders: string[] = [];
const hosts: { close(reason: string): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.close("the test is over")));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const planned: PromoteRequest = {
  gateway: "gw1",
  epoch: 0,
  gatewaysRegistered: 1,
  gatewaysSeeingDown: [],
  planned: true,
};

interface Made {
  readonly host: Host;
  readonly front: FakeFront;
  readonly applications: FakeApplication[];
  readonly data: string;
  /** Called when a replica that is opened from now on, or is open, closes. */
  breakReplica(onClose: () => void): void;
  write(sql: string): void;
}

async function make(
  store: FaultyStore,
  changes: Partial<HostConfig> = {},
  prepare: (application: FakeApplication) => void = () => undefined,
  rehearsal?: RehearsalGround,
  restoreTest?: RestoreTestPorts,
): Promise<Made> {
  const root = mkdtempSync(join(tmpdir(), "stead-host-"));
  folders.push(root);
  const config = configOf(root, changes);
  const { dataFolder: data, databases } = config;
  const local = new LocalData(config, localDatabases(databases));
  await local.prepare();
  const front = new FakeFront();
  const applications: FakeApplication[] = [];
  let lastPort = 0;
  let onClose = (): void => undefined;
  const host = new Host({
    ...{
      config,
      clock: systemClock,
      random: systemRandom,
      rules: allRules,
      metrics: noMetrics,
      store,
      vaultId: "0f7a",
      logKind: "objects",
      canary: undefined,
      rehearsal,
      restoreTest,
      front,
      local,
    },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    predecessor: { ask: () => Promise.resolve({ kind: "gone" as const }) },
    openReplica: async () => {
      const replica = await Replica.open({ root: data });
      const close = replica.close.bind(replica);
      replica.close = () => {
        onClose();
        return close();
      };
      return replica;
    },
    openSource: (known) =>
      Source.open({
        root: data,
        databases,
        clock: systemClock,
        rules: allRules,
        onWarning: () => undefined,
        ...(known === undefined ? {} : { known }),
      }),
    localChunk: () => Promise.resolve(undefined),
    application: ({ onGaveUp }) => {
      const application = new FakeApplication(onGaveUp);
      prepare(application);
      applications.push(application);
      return application;
    },
    leftovers: { ensureNone: () => Promise.resolve(true), obstacle: () => undefined },
    freePort: () => Promise.resolve((lastPort += 1)),
    clean: () => Promise.resolve(),
  });
  hosts.push(host);
  const write = (sql: string): void => {
    const database = new DatabaseSync(join(data, "a.db"));
    database.exec(`PRAGMA journal_mode=WAL; ${sql}`);
    database.close();
  };
  return { host, front, applications, data, breakReplica: (called) => (onClose = called), write };
}

const vault = (): FaultyStore => new FaultyStore(new MemoryStore());
const role = (host: Host, wanted: string) => until(() => host.status().role === wanted);

async function lastKind(store: FaultyStore): Promise<string | undefined> {
  const reader = readerFromStart(store);
  while ((await reader.next()) !== undefined);
  return reader.last?.body.kind;
}

async function promote(host: Host, request: Partial<PromoteRequest> = {}): Promise<PromoteEvent | undefined> {
  const events: PromoteEvent[] = [];
  await host.promote({ ...planned, ...request }, (event) => events.push(event));
  return events.at(-1);
}

describe("a host", () => {
  test("tells the result of the last restore test of an earlier run", async () => {
    const result = { outcome: "passed", atMs: 1, tookMs: 2, position: 3, bytes: 4, detail: null } as const;
    const ports = { read: () => result, write: () => undefined, check: () => Promise.resolve([]) };
    const { host } = await make(vault(), {}, undefined, undefined, ports);
    host.start();
    expect(host.status().restoreTest).toEqual(result);
  });

  test("bootstraps an empty vault, serves, and hands what was written to the next one", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    a.write("CREATE TABLE t (x); INSERT INTO t VALUES (42)");
    await a.front.term?.gate();
    await a.host.close("the test moves on");
    expect(await lastKind(store)).toBe("vacate");
    expect(a.applications.map(({ state }) => state)).toEqual(["stopped"]);
    const b = await make(store, { id: "b", bootstrap: false });
    b.host.start();
    await role(b.host, "secondary");
    expect((await promote(b.host, { epoch: 1 }))?.kind).toBe("done");
    const database = new DatabaseSync(join(b.data, "a.db"));
    expect(database.prepare("SELECT x FROM t").all()).toEqual([{ x: 42 }]);
    database.close();
  });

  test("refuses a promotion when it is primary already, behind, or not ready", async () => {
    const store = vault();
    const a = await make(store);
    expect(await promote(a.host)).toMatchObject({ kind: "refused", refusal: { kind: "not_ready" } });
    a.host.start();
    await role(a.host, "primary");
    expect(await promote(a.host)).toEqual({ kind: "refused", refusal: { kind: "epoch_taken", epoch: 1, host: "a" } });
    const b = await make(store, { id: "b", bootstrap: false });
    b.host.start();
    await role(b.host, "secondary");
    expect(await promote(b.host, { epoch: 0 })).toEqual({
      kind: "refused",
      refusal: { kind: "epoch_taken", epoch: 1, host: "a" },
    });
    expect(await promote(b.host, { epoch: 1, planned: false })).toMatchObject({
      kind: "refused",
      refusal: { kind: "primary_alive" },
    });
    expect(b.host.status().role).toBe("secondary");
  });

  test("bootstraps no vault from what an interrupted restore has left, but once it is put back", async () => {
    const store = vault();
    const a = await make(store);
    const previous = join(a.data, "../state/previous");
    mkdirSync(previous);
    a.write("CREATE TABLE t (x)");
    renameSync(join(a.data, "a.db"), join(previous, "a.db"));
    a.host.start();
    await until(() => a.host.status().reason?.includes(`has left ${previous}`) === true);
    expect(await listCheckpoints(store)).toEqual([]);
    renameSync(join(previous, "a.db"), join(a.data, "a.db"));
    rmSync(previous, { recursive: true });
    await role(a.host, "primary");
    expect((await readManifest(store, 0))?.databases.map(({ name }) => name)).toEqual(["a.db"]);
  });

  test("refuses an order that rests on what it said long ago, or on what an earlier run of it said", async () => {
    const store = vault();
    const a = await make(store, { bootstrap: false });
    const b = await make(store, { id: "b" });
    b.host.start();
    await role(b.host, "primary");
    a.host.start();
    await role(a.host, "secondary");
    const { instance, clockMs } = a.host.status();
    const order = { epoch: 1, planned: true };
    const expired = { kind: "refused", refusal: { kind: "order_expired" } };
    expect(
      await promote(a.host, { ...order, basedOn: { instance, clockMs: (clockMs ?? 0) - 3_000, validMs: 3_000 } }),
    ).toMatchObject(expired);
    expect(
      await promote(a.host, { ...order, basedOn: { instance: "other", clockMs: clockMs ?? 0, validMs: 60_000 } }),
    ).toMatchObject(expired);
    expect(
      await promote(a.host, { ...order, basedOn: { instance, clockMs: clockMs ?? 0, validMs: 60_000 } }),
    ).toMatchObject({ kind: "done", epoch: 2 });
  });

  test("that would not capture a database of the vault is no secondary: writes there would be lost with it", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    a.write("CREATE TABLE t (x)");
    await a.front.term?.gate();
    const b = await make(store, { id: "b", bootstrap: false, databases: ["b.db"] });
    b.host.start();
    await role(b.host, "failed");
    expect(b.host.status().reason).toContain('`databases` in [host] is ["b.db"] and leaves out a.db');
    expect(await promote(b.host, { epoch: 1 })).toMatchObject({ kind: "refused", refusal: { kind: "not_ready" } });
  });

  test("refuses a promotion when the primary has made a database meanwhile that it would not capture", async () => {
    const store = vault();
    const b = await make(store, { id: "b", bootstrap: false, databases: ["b.db"] });
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    b.host.start();
    await role(b.host, "secondary");
    a.write("CREATE TABLE t (x)");
    await a.front.term?.gate();
    expect(await promote(b.host, { epoch: 1 })).toMatchObject({
      kind: "refused",
      refusal: { kind: "not_ready", reason: expect.stringContaining("leaves out a.db") },
    });
    expect(await lastKind(store)).toBe("commit");
  });

  test("answers the second of two orders when it knows what became of the first", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    const b = await make(store, { id: "b", bootstrap: false });
    b.host.start();
    await role(b.host, "secondary");
    let letClaim: () => void = () => undefined;
    store.beforePut = (key) =>
      key.startsWith("log/") ? new Promise<void>((resolve) => (letClaim = resolve)) : Promise.resolve();
    const first = promote(b.host, { epoch: 1 });
    await role(b.host, "claiming");
    const second = promote(b.host, { epoch: 1 });
    store.beforePut = undefined;
    letClaim();
    expect(await second).toEqual({ kind: "refused", refusal: { kind: "epoch_taken", epoch: 2, host: "b" } });
    expect(await first).toMatchObject({ kind: "done", epoch: 2 });
  });

  test("that hands over lets its successor claim before it reads the vault for its own restore, and says to whom", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    await a.host.demote({ gateway: "gw1", successor: "b", reason: "switchover" }, () => undefined);
    expect(a.host.status()).toMatchObject({ role: "restoring", vacated: true, handover: { to: "b" } });
    const writer = await claimAs(store.inner, "b");
    await writer.append({ kind: "renew" });
    await role(a.host, "secondary");
    expect(a.host.status()).toMatchObject({ epoch: 2, epochHost: "b", handover: null });
  });

  test("whose record meets another's claim releases nothing more, kills its application, and follows", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    const term = a.front.term;
    await claimAs(store.inner, "b");
    a.write("CREATE TABLE t (x)");
    await role(a.host, "secondary");
    expect(() => term?.gate()).toThrow("no longer primary");
    expect(a.applications.map(({ state }) => state)).toEqual(["killed"]);
    expect(a.host.status()).toMatchObject({ epoch: 2, epochHost: "b" });
    expect(existsSync(a.host.status().setAside[0] ?? "nowhere")).toBe(true);
  });

  test("whose term does not end at once says why, and tries again: it is not failed for good", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    // The first comes when the term is cut, the others when it is waited for.
    for (let times = 0; times < 3; times += 1) a.applications[0]?.killFailures.push(new Error("the disk is full"));
    await claimAs(store.inner, "b");
    a.write("CREATE TABLE t (x)");
    await until(() => a.host.status().reason === "the disk is full");
    await role(a.host, "secondary");
    expect(a.applications.map(({ state }) => state)).toEqual(["killed"]);
  });

  test("that is fenced by its own id says that its id is a duplicate, and stays down", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    await claimAs(store.inner, "a", { instance: "duplicate" });
    a.write("CREATE TABLE t (x)");
    await role(a.host, "failed");
    expect(a.host.status().reason).toContain('another running host has the same id "a"');
    expect(a.front.term).toBeUndefined();
  });

  test("that finds a duplicate of its id while it claims does not claim any more: it would own an epoch and serve nothing", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    const b = await make(store, { id: "b", bootstrap: false });
    b.host.start();
    await role(b.host, "secondary");
    const duplicate = await claimAs(store.inner, "b", { instance: "duplicate" });
    await until(() => b.host.status().epoch === 2);
    let letClaim: () => void = () => undefined;
    store.beforePut = (key) =>
      key.startsWith("log/") ? new Promise<void>((resolve) => (letClaim = resolve)) : Promise.resolve();
    const answer = promote(b.host, { epoch: 2 });
    await role(b.host, "claiming");
    await duplicate.append({ kind: "renew" });
    store.beforePut = undefined;
    letClaim();
    expect(await answer).toMatchObject({ kind: "refused", refusal: { kind: "not_ready" } });
    expect(b.host.status().role).toBe("failed");
    // A vault in memory answers within a turn of the event loop: a claim that was still tried would be put by then.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const reader = readerFromStart(store);
    while ((await reader.next()) !== undefined);
    expect(reader.last?.header.epoch).toBe(2);
  });

  test("whose application is given up writes vacate, follows again, and says why and when it may be asked again", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    a.applications[0]?.onGaveUp("it crashed three times");
    expect(a.host.status()).toMatchObject({ role: "restoring", reason: "it crashed three times" });
    expect(a.front.term).toBeUndefined();
    await role(a.host, "secondary");
    expect(await lastKind(store)).toBe("vacate");
    const { retry, vacated, warnings } = a.host.status();
    expect(retry).toMatchObject({ reason: "it crashed three times", attempts: 1 });
    expect(retry?.inMs).toBeLessThanOrEqual(1_000);
    expect([vacated, warnings]).toEqual([true, ["it crashed three times"]]);
  });

  test("whose application does not start vacates, so that another can take over at once, and never promotes itself", async () => {
    const store = vault();
    const a = await make(store, {}, (application) => (application.startFailure = new Error("port in use")));
    a.host.start();
    await role(a.host, "secondary");
    expect(a.host.status()).toMatchObject({ retry: { reason: "port in use", attempts: 1 }, vacated: true, epoch: 1 });
    expect(await lastKind(store)).toBe("vacate");
  });

  test("starts an application that ended before it was ready once more, at another port, before it gives the epoch up", async () => {
    const store = vault();
    const ports: number[] = [];
    const a = await make(store, {}, (application) => {
      const start = application.start.bind(application);
      application.start = (port = 0) =>
        ports.push(port) === 1 ? Promise.reject(new ApplicationError("its port is taken", true)) : start();
    });
    a.host.start();
    await role(a.host, "primary");
    expect(new Set(ports).size).toBe(2);
    expect(a.host.status()).toMatchObject({ epoch: 1, vacated: false, application: { state: "ready" } });
    expect(a.host.status().warnings.join()).toContain("its port is taken; it is started once more, on another port");
  });

  test("that was put off obeys an order at any time, waits longer each time it fails, and is like any other when it serves", async () => {
    const store = vault();
    let failure: Error | undefined = new Error("the LDAP server does not answer");
    const a = await make(store, {}, (application) => (application.startFailure = failure));
    a.host.start();
    await until(() => a.host.status().retry !== null && a.host.status().role === "secondary");
    expect(await promote(a.host, { epoch: 1 })).toMatchObject({
      kind: "refused",
      refusal: { kind: "not_ready", reason: "the LDAP server does not answer" },
    });
    await role(a.host, "secondary");
    expect(a.host.status().retry?.attempts).toBe(2);
    expect(a.host.status().retry?.inMs).toBeGreaterThan(1_000);
    failure = undefined;
    expect(await promote(a.host, { epoch: 2 })).toMatchObject({ kind: "done", epoch: 3 });
    expect(a.host.status()).toMatchObject({ role: "primary", retry: null });
    await a.host.demote({ gateway: "gw1", successor: null, reason: "maintenance" }, () => undefined);
    await role(a.host, "secondary");
    expect(a.host.status().retry?.attempts).toBe(2);
    await a.host.restore();
    expect(a.host.status().retry).toBeNull();
  });

  test("that was put off is like any other again after a rehearsal that went well, and not after one that failed", async () => {
    let failure: Error | undefined = new Error("the licence is missing");
    const application = {
      start: () => (failure === undefined ? Promise.resolve() : Promise.reject(failure)),
      stop: () => Promise.resolve(),
      kill: () => Promise.resolve(),
      lastOutput: () => Promise.resolve(""),
    };
    const ground = {
      copy: () => Promise.resolve(),
      application: () => application,
      strays: () => [],
      clear: () => Promise.resolve(),
    };
    const a = await make(vault(), {}, (made) => (made.startFailure = failure), ground);
    a.host.start();
    await until(() => a.host.status().retry !== null && a.host.status().role === "secondary");
    expect(await a.host.rehearse()).toMatchObject({ kind: "done", done: { ok: false } });
    expect(a.host.status()).toMatchObject({ retry: { attempts: 1 }, rehearsal: { ok: false, startMs: null } });
    failure = undefined;
    expect(await a.host.rehearse()).toMatchObject({ kind: "done", done: { ok: true } });
    expect(a.host.status()).toMatchObject({ role: "secondary", retry: null, rehearsal: { ok: true, detail: null } });
  });

  test("whose application opened the replica in a rehearsal restores it, and follows again", async () => {
    const application = {
      start: () => Promise.resolve(),
      stop: () => Promise.resolve(),
      kill: () => Promise.resolve(),
      lastOutput: () => Promise.resolve(""),
    };
    const ground = {
      copy: () => Promise.resolve(),
      application: () => application,
      strays: () => ["/srv/notes/a.db"],
      clear: () => Promise.resolve(),
    };
    const a = await make(vault(), {}, () => undefined, ground);
    a.host.start();
    await role(a.host, "primary");
    await a.host.demote({ gateway: "gw1", successor: null, reason: "maintenance" }, () => undefined);
    await role(a.host, "secondary");
    const rehearsal = a.host.rehearse();
    await role(a.host, "restoring");
    expect(a.host.status()).toMatchObject({
      reason: expect.stringContaining("in a rehearsal the application opened /srv/notes/a.db instead of the copy"),
    });
    expect(await rehearsal).toMatchObject({
      kind: "done",
      done: { ok: false, detail: expect.stringContaining("let it find its databases by one of them") },
    });
    await role(a.host, "secondary");
    expect(a.host.status().rehearsal).toMatchObject({ ok: false });
  });

  test("that is asked to take over while it copies for a rehearsal does not wait for the copy", async () => {
    const copying = Promise.withResolvers<void>();
    const copy = (_databases: readonly string[], signal: AbortSignal): Promise<void> => {
      copying.resolve();
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
      );
    };
    let cleared = 0;
    const application = (): never => {
      throw new Error("nothing was copied");
    };
    const ground = { copy, application, strays: () => [], clear: () => Promise.resolve(void (cleared += 1)) };
    const a = await make(vault(), {}, () => undefined, ground);
    a.host.start();
    await role(a.host, "primary");
    expect(await a.host.rehearse()).toMatchObject({
      kind: "refused",
      refusal: { reason: "only a secondary rehearses; this host is primary" },
    });
    await a.host.demote({ gateway: "gw1", successor: null, reason: "maintenance" }, () => undefined);
    await role(a.host, "secondary");
    const rehearsal = a.host.rehearse();
    await copying.promise;
    expect(await promote(a.host, { epoch: 1 })).toMatchObject({ kind: "done" });
    expect(await rehearsal).toMatchObject({
      kind: "refused",
      refusal: { reason: "the rehearsal was ended: this host was asked to become primary" },
    });
    expect(a.host.status()).toMatchObject({ role: "primary", rehearsal: null });
    expect(cleared).toBeGreaterThanOrEqual(1);
  });

  test("whose stage broke down by an error that nothing expects restores at the time of its next try", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    await a.host.demote({ gateway: "gw1", successor: null, reason: "maintenance" }, () => undefined);
    await role(a.host, "secondary");
    let isBroken = true;
    a.breakReplica(() => {
      if (isBroken) throw new Error("EIO: i/o error, close");
    });
    const refused = await promote(a.host, { epoch: 1 });
    expect(refused).toMatchObject({ kind: "refused", refusal: { reason: "EIO: i/o error, close" } });
    expect(a.host.status()).toMatchObject({
      role: "restoring",
      retry: { reason: "EIO: i/o error, close", attempts: 1 },
    });
    isBroken = false;
    await role(a.host, "secondary");
    expect(a.host.status().retry?.inMs).toBe(0);
  });

  test("refuses an order for a vault that is another, or whose log is shorter than what the primary was heard at, and warns", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    const heard = a.host.status().position;
    const b = await make(store, { id: "b", bootstrap: false });
    b.host.start();
    await role(b.host, "secondary");
    const otherLog = (reason: string) => ({
      kind: "refused",
      refusal: { kind: "other_log", reason: expect.stringContaining(reason) },
    });
    expect(await promote(b.host, { epoch: 1, vault: "beef" })).toMatchObject(otherLog("its identity is 0f7a"));
    expect(await promote(b.host, { epoch: 1, positionHeard: heard + 19, vault: "0f7a" })).toMatchObject(
      otherLog(`was heard at ${heard + 19}`),
    );
    expect(b.host.status().warnings.join()).toContain("your vault is not the vault of this service");
    expect(await promote(b.host, { epoch: 1, positionHeard: heard, vault: "0f7a" })).toMatchObject({
      kind: "done",
      epoch: 2,
    });
    expect(b.host.status().warnings.join()).not.toContain("your vault");
  });

  test("refuses a demotion that is meant for the primary of another epoch", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    const events: DemoteEvent[] = [];
    const demote = (epoch: number | null) =>
      a.host.demote({ gateway: "gw1", successor: null, reason: "switchover", epoch }, (event) => events.push(event));
    await demote(7);
    expect(events.splice(0)).toEqual([
      {
        kind: "refused",
        refusal: {
          kind: "not_ready",
          reason: "the order is for the primary of epoch 7; this host is primary in epoch 1",
        },
      },
    ]);
    expect(a.host.status().role).toBe("primary");
    await demote(1);
    expect(events.at(-1)?.kind).toBe("done");
  });

  test("waits at the gate while the vault is full, says so, and continues by itself", async () => {
    const store = vault();
    const a = await make(store);
    a.host.start();
    await role(a.host, "primary");
    let isFull = true;
    store.beforePut = () =>
      isFull ? Promise.reject(new StoreError("full", "no space", "Free space.")) : Promise.resolve();
    a.write("CREATE TABLE t (x)");
    let isReleased = false;
    const gate = Promise.resolve(a.front.term?.gate()).then(() => (isReleased = true));
    await until(() => a.host.status().warnings.some((text) => text.includes("no space")));
    expect([isReleased, a.host.status().role]).toEqual([false, "primary"]);
    isFull = false;
    await gate;
    expect(await lastKind(store)).toBe("commit");
    // A trouble that is over is not shown any more.
    await until(() => a.host.status().warnings.length === 0);
  });

  test("waits for a vault that does not answer when it starts, says so, and continues by itself", async () => {
    const store = vault();
    let isAway = true;
    store.list = (prefix, options) =>
      isAway
        ? Promise.reject(new StoreError("unavailable", "no answer", "Is it up?"))
        : store.inner.list(prefix, options);
    const a = await make(store);
    a.host.start();
    await until(() => (a.host.status().reason ?? "").includes("no answer"));
    expect(a.host.status().role).toBe("restoring");
    isAway = false;
    await role(a.host, "primary");
    expect(a.host.status().warnings).toEqual([]);
  });

  test("stops within a bounded time in every state, also when the vault does not answer", async () => {
    for (const state of ["never started", "restoring", "secondary", "primary", "vault away"] as const) {
      const store = vault();
      if (state === "secondary") await claimAs(store.inner, "z");
      const a = await make(store, { bootstrap: state !== "restoring" });
      if (state !== "never started") a.host.start();
      if (state === "primary" || state === "vault away") await role(a.host, "primary");
      if (state === "vault away") {
        store.beforePut = () => new Promise(() => undefined);
        a.write("CREATE TABLE t (x)");
      }
      await a.host.close("asked to");
      expect(a.front.term).toBeUndefined();
      expect(a.applications.every((application) => application.state !== "running")).toBe(true);
      if (state === "primary") expect(await lastKind(store)).toBe("vacate");
      if (state === "vault away") expect(a.host.status().warnings.join()).toContain("without a vacate record");
      store.beforePut = undefined;
    }
  });
});
