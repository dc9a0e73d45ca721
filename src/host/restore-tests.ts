/**
 * Scheduled restore tests ([host.restore_test]): a secondary restores the newest checkpoint and the journal after it
 * into a folder of its own, with the checksum of each flush, lets SQLite check every database, and removes it all. They
 * find what replication does not: a secondary that follows reads no checkpoint, so a damaged one is noticed only when
 * it is needed.
 *
 * - Nothing waits for one. It reads the vault no faster than `rate`, looks for room before it writes, and ends at once
 *   when this host is asked to become primary or restores.
 * - An older checkpoint would do for a restore, and is used for one; for a test a damaged newest one is a failure.
 * - One that could not be made is `skipped` and says nothing about the vault: no room, a vault that does not answer, an
 *   empty one, a promotion, or retention that removed the checkpoint meanwhile.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { CheckedDatabase } from "../capture/integrity.ts";
import { ReplicaError } from "../capture/replica-error.ts";
import type { RestoreTestConfig } from "../config/restore-test-config.ts";
import type { RestoreTestResult } from "../control/restore-test.ts";
import type { HostState } from "../core/host/life.ts";
import { isRestoreTestDue } from "../core/host/restore-test-due.ts";
import { BackgroundTasks } from "../runtime/background-tasks.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import { messageOf, OperatorError } from "../runtime/operator-error.ts";
import { listCheckpoints } from "../vault/checkpoint/checkpoint.ts";
import type { Log } from "../vault/log/log.ts";
import { isTransient } from "../vault/store/retry.ts";
import type { Store } from "../vault/store/store.ts";
import { PacedStore } from "./machine/paced-store.ts";
import { type DiskSpace, systemDiskSpace } from "./secondary/disk-space.ts";
import { type PointInTime, restoreMoment } from "./secondary/point-in-time.ts";
import { EmptyVaultError } from "./secondary/restorer.ts";

/** What a restore test needs of the machine; undefined where a host has no files. */
export interface RestoreTestPorts {
  /** The last result of an earlier run of this host; undefined: there was none. */
  read(): RestoreTestResult | undefined;
  write(result: RestoreTestResult): void;
  /** Lets SQLite check these databases below a folder, in another process. */
  check(folder: string, names: readonly string[], signal: AbortSignal): Promise<readonly CheckedDatabase[]>;
  readonly disk?: DiskSpace;
}

export interface RestoreTestsOptions {
  readonly ports: RestoreTestPorts | undefined;
  readonly host: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  readonly openLog: (store: Store) => Log;
  /** Read at each look; undefined: none is planned. */
  readonly config: () => RestoreTestConfig | undefined;
  readonly role: () => HostState["kind"];
  readonly onResult: () => void;
}

const lookEveryMs = 10_000;

export class RestoreTests {
  readonly #options: RestoreTestsOptions;
  readonly #background = new BackgroundTasks();
  #last: RestoreTestResult | undefined;
  #cut: AbortController | undefined;
  #timer: Timer | undefined;

  constructor(options: RestoreTestsOptions) {
    this.#options = options;
  }

  get last(): RestoreTestResult | undefined {
    return this.#last;
  }

  start(): void {
    const { ports } = this.#options;
    if (ports === undefined) return;
    this.#last = ports.read();
    this.#look();
  }

  /** Ends the running one. */
  abort(why: string): void {
    this.#cut?.abort(new Error(why));
  }

  /** Resolves when nothing of it is left. */
  async close(why: string): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.abort(why);
    await this.#background.settled();
  }

  #look(): void {
    const { clock, config, role, ports } = this.#options;
    const planned = config();
    const isDue =
      planned !== undefined && isRestoreTestDue(planned.schedule, this.#last?.atMs, Math.floor(clock.wallTime()));
    if (ports !== undefined && isDue && role() === "secondary" && this.#cut === undefined)
      this.#background.own(this.#run(ports, planned));
    this.#timer = clock.setTimer(lookEveryMs, () => this.#look());
  }

  async #run(ports: RestoreTestPorts, config: RestoreTestConfig): Promise<void> {
    const { clock, log, onResult } = this.#options;
    const cut = new AbortController();
    this.#cut = cut;
    const atMs = Math.floor(clock.wallTime());
    const startedAt = clock.now();
    log.info("restore test begins", { folder: config.folder });
    const found = await this.#test(ports, config, cut.signal);
    this.#cut = undefined;
    const result: RestoreTestResult = { ...found, atMs, tookMs: Math.round(clock.now() - startedAt) };
    this.#last = result;
    const { outcome, tookMs, detail, position, bytes } = result;
    if (outcome === "passed") log.info("restore test passed", { position, bytes, ms: tookMs });
    else log[outcome === "failed" ? "error" : "warn"](`restore test ${outcome}`, { reason: detail });
    try {
      ports.write(result);
    } catch (error) {
      log.warn("the result of the restore test could not be kept", { reason: messageOf(error) });
    }
    onResult();
  }

  /** Never rejects. */
  async #test(ports: RestoreTestPorts, config: RestoreTestConfig, signal: AbortSignal): Promise<Found> {
    const { host, clock, store, openLog, log } = this.#options;
    const scratch = join(config.folder, `stead-restore-test-${host}`);
    const paced = new PacedStore(store, { clock, bytesPerSecond: config.bytesPerSecond, signal });
    const warnings: string[] = [];
    let newest: number | undefined;
    try {
      // What a host that was killed has left there.
      await rm(scratch, { recursive: true, force: true });
      await mkdir(scratch, { recursive: true });
      newest = (await listCheckpoints(store)).at(-1);
      const folder = join(scratch, "databases");
      const restored = await restoreMoment({
        ...{ store: paced, log: openLog(paced), moment: { kind: "newest" }, folder, signal },
        ...{ onWarning: (text) => warnings.push(text), disk: ports.disk ?? systemDiskSpace },
      });
      const checked = await ports.check(
        folder,
        restored.databases.map(({ name }) => name),
        signal,
      );
      return verdict(restored, checked, warnings);
    } catch (error) {
      if (signal.aborted) return skipped(`ended: ${messageOf(signal.reason)}`);
      if (!isDamage(error)) return skipped(messageOf(error));
      if (await this.#isRemoved(newest))
        return skipped(
          `retention removed the checkpoint at position ${newest} meanwhile: raise host.restore_test.rate or host.checkpoint.window`,
        );
      return { outcome: "failed", position: null, bytes: null, detail: messageOf(error) };
    } finally {
      await rm(scratch, { recursive: true, force: true }).catch((error: unknown) =>
        log.warn("a restore test could not be cleaned up", { reason: messageOf(error) }),
      );
    }
  }

  /** A slow test may outlive the checkpoint that it reads. */
  async #isRemoved(checkpoint: number | undefined): Promise<boolean> {
    if (checkpoint === undefined) return false;
    const positions = await listCheckpoints(this.#options.store).catch(() => undefined);
    return positions !== undefined && !positions.includes(checkpoint);
  }
}

type Found = Pick<RestoreTestResult, "outcome" | "position" | "bytes" | "detail">;

const skipped = (detail: string): Found => ({ outcome: "skipped", position: null, bytes: null, detail });

const isDamage = (error: unknown): boolean =>
  error instanceof ReplicaError ||
  (error instanceof OperatorError &&
    error.area === "vault" &&
    !(error instanceof EmptyVaultError) &&
    !isTransient(error));

/** `warnings`: of a checkpoint that could not be used. A database that needs the application's parts passes. */
function verdict(
  { position, databases }: PointInTime,
  checked: readonly CheckedDatabase[],
  warnings: readonly string[],
): Found {
  const faults = [...warnings, ...checked.flatMap(faultOf)];
  const bytes = databases.reduce((sum, database) => sum + database.bytes, 0);
  return {
    outcome: faults.length === 0 ? "passed" : "failed",
    position,
    bytes,
    detail: faults.length === 0 ? null : faults.slice(0, faultsNamed).join("; "),
  };
}

const faultsNamed = 5;

function faultOf(database: CheckedDatabase): string[] {
  const { name } = database;
  switch (database.kind) {
    case "whole":
    case "unchecked":
      return [];
    case "damaged":
      return [`${name}: integrity_check found ${database.found.join(", ")}`];
    case "no-database":
      return [`${name} is no database to SQLite`];
    case "unreadable":
      return [`${name} cannot be read: ${database.reason}`];
  }
}
