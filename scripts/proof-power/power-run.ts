/**
 * Power failures of a vault under load: clusters of real processes whose vault and host folders are on lossy disks
 * (lossy-disks.ts). One failure:
 * 1. At a drawn write or flush of the vault's disk, power fails for it and for a drawn choice of the hosts' disks. The
 *    processes of all hosts are killed; the folder of a host whose disk keeps its power keeps all that was written.
 * 2. The disks are mounted again with what was left, and the vault is verified before any host has seen it.
 * 3. The hosts start, and what the next primary shows is compared with what clients were told, from the first request
 *    on. The load begins again.
 *
 * One in four is followed by another one during the takeover, when claims and seals are being written.
 */
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { demoApplication, type DemoApplicationName } from "../../harness/applications.ts";
import { Cluster } from "../../harness/cluster.ts";
import { History } from "../../harness/history.ts";
import { Load } from "../../harness/load.ts";
import type { DemoModel } from "../../harness/model.ts";
import { descendantsOf, livingOf, type ProcessMark } from "../../harness/process-table.ts";
import { ProcessKeeper } from "../../harness/processes.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { messageOf } from "../../src/runtime/operator-error.ts";
import { selfCommand } from "../../src/runtime/self-command.ts";
import type { LogKind } from "../../src/vault/store/identity.ts";
import { failureMoments, type FileSystem, LossyDisks, type PowerFailure, type WritesAtRisk } from "./lossy-disks.ts";

export interface PowerOptions {
  /** For the clusters' folders. */
  readonly folder: string;
  readonly app: DemoApplicationName;
  readonly log: LogKind;
  readonly fileSystem: FileSystem;
  readonly seed: number;
  /** Failures under load. */
  readonly times: number;
  /** Of one cluster, before the next begins with new disks. */
  readonly timesPerCluster: number;
  /** The program that runs the hosts. */
  readonly program: readonly [string, ...string[]];
  /** Until clients are served again. */
  readonly servedWithinMs: number;
  say(line: string): void;
}

export interface PowerResult {
  readonly failures: number;
  /** Further failures, during a takeover. */
  readonly takeovers: number;
  readonly acknowledged: number;
  readonly missing: number;
  readonly violations: readonly string[];
  readonly writes: WritesAtRisk;
}

const workers = 8;
const requestsPerSecond = 600;
const clientTimeoutMs = 20_000;
/** So many uncovered writes may not come together for long; then power fails at the next flush. */
const rareWithinMs = 4_000;
const closeGraceMs = 3_000;
const violationsKeptMax = 20;
/** Acknowledged writes before a failure may come. */
const acknowledgedMin = 20;
/** Frequent checkpoints and a short window, so that power fails during checkpoints and retention too. */
const hostExtra = '\n[host.checkpoint]\ninterval = "5s"\nkeep = 2\nwindow = "10s"\n';
const run = promisify(execFile);
const never = new AbortController().signal;

export async function runPower(options: PowerOptions): Promise<PowerResult> {
  let sum: PowerResult = nothing;
  for (let index = 0; sum.failures < options.times; index += 1) {
    const times = Math.min(options.timesPerCluster, options.times - sum.failures);
    const result = await new PoweredCluster(options, `${options.seed}/${index}`).run(times);
    sum = add(sum, result);
    const { failures, acknowledged, missing, violations } = sum;
    options.say(
      `${failures} of ${options.times} failures: ${acknowledged} acknowledged, ${missing} missing, ${violations.length} violations`,
    );
    if (result.failures === 0) break; // It would not get further.
  }
  return sum;
}

const nothing: PowerResult = {
  failures: 0,
  takeovers: 0,
  acknowledged: 0,
  missing: 0,
  violations: [],
  writes: { atRisk: 0, present: 0, absent: 0, torn: 0 },
};

const add = (one: PowerResult, other: PowerResult): PowerResult => ({
  failures: one.failures + other.failures,
  takeovers: one.takeovers + other.takeovers,
  acknowledged: one.acknowledged + other.acknowledged,
  missing: one.missing + other.missing,
  violations: [...one.violations, ...other.violations],
  writes: addWrites(one.writes, other.writes),
});

const addWrites = (one: WritesAtRisk, other: WritesAtRisk): WritesAtRisk => ({
  atRisk: one.atRisk + other.atRisk,
  present: one.present + other.present,
  absent: one.absent + other.absent,
  torn: one.torn + other.torn,
});

/** Something that must not happen: it ends this cluster. */
class ViolationError extends Error {
  override readonly name = "ViolationError";
}

/** One cluster with its disks, until so many failures were survived or one was not. */
class PoweredCluster {
  readonly #options: PowerOptions;
  readonly #dice: SeededRandom;
  readonly #folder: string;
  readonly #keeper: ProcessKeeper;
  readonly #history = new History();
  readonly #model: DemoModel;
  readonly #name: string;
  #result = nothing;

  constructor(options: PowerOptions, name: string) {
    this.#options = options;
    this.#name = name;
    this.#folder = mkdtempSync(join(options.folder, "cluster-"));
    this.#keeper = new ProcessKeeper(this.#folder);
    this.#dice = new SeededRandom(name);
    this.#model = demoApplication(options.app, this.#folder).makeModel("p", workers);
  }

  async run(times: number): Promise<PowerResult> {
    const closers: (() => Promise<void>)[] = [() => this.#close()];
    this.#keeper.keepFolder(); // It must not be removed before its disks are unmounted.
    try {
      const hosts = ["host-1", "host-2"];
      const mountPoints = new Map(["vault", ...hosts].map((name) => [name, join(this.#folder, name)]));
      const disks = await LossyDisks.open(this.#folder, this.#options.fileSystem, mountPoints);
      closers.unshift(() => disks.close());
      chmodSync(join(this.#folder, "vault"), 0o700);
      const cluster = await this.#makeCluster();
      closers.unshift(() => Promise.resolve(void killHosts(cluster)));
      for (const host of hosts) await disks.sync(host); // The configuration of a host is an operator's.
      await this.#fail(cluster, disks, times);
    } catch (error) {
      if (!(error instanceof ViolationError)) throw error;
      this.#violate([error.message]);
    } finally {
      for (const close of closers) await close();
    }
    return { ...this.#result, acknowledged: this.#history.acknowledgedCount };
  }

  async #close(): Promise<void> {
    await this.#keeper.close(closeGraceMs);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #makeCluster(): Promise<Cluster> {
    const { app, program, log } = this.#options;
    return Cluster.create({
      folder: this.#folder,
      service: app,
      application: demoApplication(app, this.#folder),
      hosts: 2,
      gateways: 1,
      keeper: this.#keeper,
      clock: systemClock,
      hostExtra,
      program,
      log,
    });
  }

  async #fail(cluster: Cluster, disks: LossyDisks, times: number): Promise<void> {
    await Promise.all([...cluster.gateways, ...cluster.hosts].map((member) => cluster.start(member)));
    while (this.#result.failures < times) {
      const load = await this.#serve(cluster);
      await load.start();
      const enough = this.#history.acknowledgedCount + acknowledgedMin;
      await this.#within("clients are served", cluster, () => this.#history.acknowledgedCount >= enough);
      await this.#failOnce(cluster, disks, this.#draw("load"), load);
      this.#result = { ...this.#result, failures: this.#result.failures + 1 };
      for (const host of cluster.hosts) await cluster.start(host);
      if (!this.#dice.chance(0.25)) continue;
      await this.#failOnce(cluster, disks, this.#draw("takeover"));
      this.#result = { ...this.#result, takeovers: this.#result.takeovers + 1 };
      for (const host of cluster.hosts) await cluster.start(host);
    }
    const last = await this.#serve(cluster);
    await cluster.whenWhole(this.#options.servedWithinMs, never).catch(asViolation);
    await last.close();
  }

  #draw(during: "load" | "takeover"): PowerFailure {
    const dice = this.#dice;
    const moment = dice.pick(failureMoments);
    return {
      seed: dice.int(1, 2 ** 31),
      count: moment === "uncovered" ? dice.int(2, 12) : dice.int(1, during === "load" ? 150 : 40),
      moment,
      disks: ["vault", ...["host-1", "host-2"].filter(() => dice.chance(0.5))],
    };
  }

  async #failOnce(cluster: Cluster, disks: LossyDisks, failure: PowerFailure, load?: Load): Promise<void> {
    let writes: WritesAtRisk | undefined;
    await disks.arm(failure);
    const failed = disks.failed().then(
      (found) => (writes = found),
      () => undefined, // The program has ended, and has said why.
    );
    const until = systemClock.now() + rareWithinMs;
    await this.#within("the vault's disk is used", cluster, async () => {
      if (writes === undefined && systemClock.now() > until) await disks.arm({ ...failure, moment: "flush", count: 1 });
      return writes !== undefined;
    });
    const families = killHosts(cluster);
    await disks.end(failure.disks);
    await Promise.all([failed, load?.close(), ...cluster.hosts.map((host) => host.process?.ended)]);
    while (livingOf(families).length > 0) await systemClock.sleep(5);
    await disks.restart(failure.disks);
    if (writes !== undefined) this.#result = { ...this.#result, writes: addWrites(this.#result.writes, writes) };
    await this.#verify();
  }

  /** The vault must be whole, before a host can mend it. */
  async #verify(): Promise<void> {
    const [program, ...leading] = selfCommand();
    const command = [...leading, "vault", "verify", join(this.#folder, "vault")];
    try {
      await run(program, command, { env: { ...process.env, NO_COLOR: "1" } });
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      const damages = stdout.split("\n").filter((line) => line.startsWith("DAMAGE"));
      this.#violate([`the vault is not whole: ${[...damages, stderr.trim()].join("; ")}`]);
    }
  }

  /** Waits for the next primary, and compares what it shows with what clients were told. */
  async #serve(cluster: Cluster): Promise<Load> {
    const { app } = this.#options;
    const load = new Load({
      urls: [cluster.gateways[0]?.url ?? ""],
      model: this.#model,
      history: this.#history,
      clock: systemClock,
      seed: this.#dice.int(1, 2 ** 20),
      workers,
      requestsPerSecond,
      timeoutMs: clientTimeoutMs,
    });
    const { readPath } = demoApplication(app, this.#folder);
    let isServed = false;
    const asked = (): Promise<boolean> =>
      load.get(readPath).then(
        () => (isServed = true),
        () => false,
      );
    await this.#within("a primary serves", cluster, () => (isServed ? true : asked()));
    const { entries, broken } = await this.#model.readBack((path) => load.get(path));
    const { missing } = this.#history.finish(entries);
    this.#result = { ...this.#result, missing: this.#result.missing + missing };
    const found = this.#history.violations.map(({ kind, detail }) => `${kind}: ${detail}`);
    if (broken !== undefined) found.push(`invariant: ${broken}`);
    if (found.length === 0) return load;
    await load.close();
    this.#violate(found.slice(1));
    throw new ViolationError(found[0]);
  }

  /** If it does not happen, clients miss everything. */
  async #within(what: string, cluster: Cluster, look: () => boolean | Promise<boolean>): Promise<void> {
    try {
      const { servedWithinMs } = this.#options;
      const once = async (): Promise<true | undefined> => ((await look()) ? true : undefined);
      await cluster.until(what, servedWithinMs, never, () => "see the gateway's log", once);
    } catch (error) {
      const acknowledged = this.#history.acknowledgedCount;
      this.#result = { ...this.#result, missing: this.#result.missing + acknowledged };
      throw new ViolationError(`none of ${acknowledged} acknowledged writes can be read: ${messageOf(error)}`);
    }
  }

  #violate(texts: readonly string[]): void {
    const said = texts.map((text) => `cluster ${this.#name}, failure ${this.#result.failures}: ${text}`);
    for (const line of said.slice(0, violationsKeptMax)) this.#options.say(`  VIOLATION ${line}`);
    this.#result = { ...this.#result, violations: [...this.#result.violations, ...said] };
  }
}

function asViolation(error: unknown): never {
  throw new ViolationError(messageOf(error));
}

/** Kills all processes of hosts at once, those of their applications too. Returns them; they may still be ending. */
function killHosts({ hosts }: Cluster): ProcessMark[] {
  const families = hosts.flatMap(({ process: host }) => (host?.end === undefined ? descendantsOf(host?.pid ?? 0) : []));
  for (const { process: host } of hosts) host?.signal("SIGKILL");
  for (const { pid } of livingOf(families)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
  return families;
}
