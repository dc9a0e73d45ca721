/**
 * The application: a process of its own that runs transactions one by one, and its supervisor as the host sees it.
 *
 * It dies with its host (the watcher) and can crash, hang and be restarted by itself; the real watch over its liveness
 * (src/host/application/liveness-watch.ts) and the real judgement of its endings decide when. What it commits is in the
 * database at once; whether a client ever hears of it is the gate's business.
 */
import { judgeEnding, recentRestarts, type Restart } from "../../src/core/host/restarts.ts";
import type { CheckResult, LivenessSettings } from "../../src/core/host/liveness.ts";
import type { Rules } from "../../src/core/rules.ts";
import { ApplicationError } from "../../src/host/application/application-error.ts";
import { Endings } from "../../src/host/application/endings.ts";
import type { Leftovers } from "../../src/host/application/leftovers.ts";
import { LivenessWatch } from "../../src/host/application/liveness-watch.ts";
import type { SupervisedApplication } from "../../src/host/application/supervised-application.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { ApplicationAnswer, Request } from "./messages.ts";
import { SimDatabase } from "./sim-database.ts";
import { matcherOf } from "./sim-files.ts";
import { escape } from "./sim-leftovers.ts";
import type { SimMachine } from "./sim-machine.ts";
import { SimProcess } from "./sim-process.ts";
import { hasFile, uploadOf, wrongFile } from "./sim-uploads.ts";

export interface ApplicationOptions {
  readonly startMs: number;
  /** It is killed when it is not ready in this time. */
  readonly readyMsMax: number;
  readonly execMs: number;
  /** Of a request that computes for long. */
  readonly longMs: number;
  readonly health: LivenessSettings;
  readonly restarts: { readonly max: number; readonly windowMs: number };
  /** Share of transactions after which everything so far is synced to the disk. */
  readonly syncShare: number;
  readonly checkpointShare: number;
  /** Share of runs in which it starts a process that leaves its group. */
  readonly escapeShare: number;
  readonly pageSize: number;
  readonly keys: number;
  /** One request of so many has a file; 0: none has. */
  readonly fileEvery: number;
}

export interface ApplicationPorts {
  readonly host: SimProcess;
  readonly machine: SimMachine;
  readonly dice: SeededRandom;
  readonly options: ApplicationOptions;
  readonly rules: Rules;
  readonly leftovers: Leftovers;
  readonly onGaveUp: (reason: string) => void;
  /** What must never be: a database of two moments, a busy application that is killed for being stuck. */
  readonly onWrong: (what: string) => void;
  readonly onGiven: (request: Request) => void;
  readonly onExecuted: (request: Request) => void;
  readonly onUploaded: (path: string) => void;
  readonly onRemoved: (request: Request, path: string) => void;
}

/** `undefined`: the application died on it. */
export type Executed = { readonly answer: ApplicationAnswer; readonly wantsCheckpoint: boolean } | undefined;

/** Of an application that ends again and again: how long it runs. */
const crashesAfterMs = 30;

type State =
  | { readonly kind: "idle" | "starting" | "between" | "ending" | "over" }
  | { readonly kind: "running"; readonly watch: LivenessWatch };

/** From the host to the application, or back: loopback. */
const hopMs = 0.05;

export class SimApplication implements SupervisedApplication {
  readonly address = "127.0.0.1";
  readonly port = 1;
  readonly endings: Endings;
  readonly #ports: ApplicationPorts;
  #process: SimProcess | undefined;
  #state: State = { kind: "idle" };
  #ready: ReturnType<typeof Promise.withResolvers<void>> | undefined;
  #restarts: readonly Restart[] = [];
  /** Of answers, as the front sees them. */
  #traffic = 0;
  #openRequests = 0;
  /** It has one thread, which computes until then. */
  #busyUntil = 0;

  constructor(ports: ApplicationPorts) {
    this.#ports = ports;
    this.endings = new Endings(ports.host.clock);
    ports.host.whenDead(() => this.#process?.kill("crash"));
  }

  get status(): SupervisedApplication["status"] {
    const { host, options } = this.#ports;
    const restarts = recentRestarts(this.#restarts, host.clock.now(), options.restarts.windowMs).length;
    const state =
      this.#state.kind === "running"
        ? this.#state.watch.state.kind
        : this.#state.kind === "starting"
          ? "starting"
          : "stopped";
    return { state, forMs: 0, detail: null, restarts };
  }

  get maySpareEnding(): boolean {
    const { host, options } = this.#ports;
    return recentRestarts(this.#restarts, host.clock.now(), options.restarts.windowMs).length < options.restarts.max;
  }

  get isReady(): boolean {
    return this.#state.kind === "running";
  }

  /** The process that runs transactions right now. */
  get process(): SimProcess | undefined {
    return this.#process;
  }

  whenReady(): Promise<void> {
    if (this.isReady) return Promise.resolve();
    this.#ready ??= Promise.withResolvers<void>();
    return this.#ready.promise;
  }

  /** May be called again after a start that failed. */
  async start(): Promise<void> {
    try {
      await this.#launch();
    } catch (error) {
      if (this.#state.kind !== "starting") throw error;
      this.#state = { kind: "idle" };
      throw new ApplicationError(error instanceof Error ? error.message : String(error), true);
    }
  }

  async stop(): Promise<void> {
    await this.#end(this.#ports.dice.between(1, 20));
  }

  async kill(): Promise<void> {
    await this.#end(0);
  }

  /** The fault: the process dies by itself and is restarted by its supervisor. */
  crash(): void {
    if (this.#process !== undefined && this.#state.kind === "running") this.#dies(this.#process);
  }

  #dies(application: SimProcess): void {
    application.kill("crash");
    if (application === this.#process) this.#ports.host.enter(() => this.#onEnded(application, "ended"));
  }

  /**
   * Called in the host's process; `done` is called in the host's process, or never when the application hangs for good.
   */
  run(request: Request, done: (executed: Executed) => void): () => void {
    const { host, dice, options } = this.#ports;
    const application = this.#process;
    // Its port is not open before it is ready.
    if (application === undefined || application.isDead || this.#state.kind !== "running") {
      host.world.after(hopMs, "application refuses", () => host.enter(() => done(undefined)));
      return () => undefined;
    }
    let isOver = false;
    this.#ports.onGiven(request);
    this.#openRequests += 1;
    const settle = (label: string, executed: Executed): void => {
      if (isOver) return;
      isOver = true;
      this.#openRequests -= 1;
      leave();
      host.world.after(hopMs, label, () => host.enter(() => done(executed)));
    };
    const leave = application.whenDead(() => settle("application died", undefined));
    this.#compute(application, request.isLong === true ? options.longMs : dice.around(options.execMs), () => {
      if (isOver) return;
      if (request.poison === "ends") return this.#dies(application);
      this.#execute(application, request, (answer) => {
        this.#traffic += 1;
        settle("application answers", { answer, wantsCheckpoint: dice.chance(options.checkpointShare) });
      });
    });
    return () => {
      if (!isOver) this.#openRequests -= 1;
      isOver = true;
      leave();
    };
  }

  /** On its one thread, after what it computes already. */
  #compute(application: SimProcess, forMs: number, then: () => void): void {
    const { world } = this.#ports.host;
    this.#busyUntil = Math.max(world.now, this.#busyUntil) + forMs;
    world.after(this.#busyUntil - world.now, "execute", () => application.enter(then));
  }

  get #isComputing(): boolean {
    return this.#process?.state === "running" && this.#ports.host.world.now < this.#busyUntil;
  }

  #check(application: SimProcess, signal: AbortSignal): Promise<CheckResult> {
    const { host } = this.#ports;
    return new Promise((resolve) => {
      if (application.isDead) return resolve({ kind: "refused", detail: "it has ended" });
      this.#compute(application, hopMs, () => {
        if (!signal.aborted)
          host.world.after(hopMs, "check answered", () => host.enter(() => resolve({ kind: "well" })));
      });
    });
  }

  #watch(application: SimProcess): LivenessWatch {
    const { host, options, rules } = this.#ports;
    return new LivenessWatch({
      settings: options.health,
      clock: host.clock,
      rules,
      check: (signal) => this.#check(application, signal),
      vitals: () => ({
        traffic: this.#traffic,
        commits: 0,
        cpuMs: 0,
        isRunnable: this.#isComputing,
        openRequests: this.#openRequests,
      }),
      onChange: () => undefined,
      onStuck: (detail) => this.#onStuck(application, detail),
    });
  }

  #onStuck(application: SimProcess, detail: string): void {
    const { host, machine, onWrong } = this.#ports;
    if (this.#isComputing)
      onWrong(`the application of ${machine.name} computes, and is killed for being stuck: ${detail}`);
    host.world.say(machine.name, `its application is stuck: ${detail}`);
    application.kill("crash");
    this.#onEnded(application, "stuck");
  }

  /** Step by step where it has files: others get their turn between two of them, and the process may die there. */
  #execute(application: SimProcess, request: Request, then: (answer: ApplicationAnswer) => void): void {
    const { machine, options, onRemoved } = this.#ports;
    const { kind, key, id, poison } = request;
    if (poison !== undefined) return then({ kind: "invalid" });
    const { files } = machine.disk;
    const isUpload = kind !== "read" && hasFile(id, options.fileEvery);
    const half = options.execMs / 2;
    const commit = (begun: string | undefined): void => {
      if (begun !== undefined) {
        files.finishUpload(id, begun);
        this.#ports.onUploaded(uploadOf(id));
      }
      const before = machine.disk.database?.register(key).value ?? 0;
      const answer = this.#commit(request);
      const isReplaced = kind === "put" && before !== id && hasFile(before, options.fileEvery);
      if (kind !== "put" || (!isUpload && !isReplaced)) return then(answer);
      this.#compute(application, half, () => {
        // Whatever the register refers to by now: so this never stands for what another request is about to remove.
        this.#pointTo(key);
        if (!isReplaced) return then(answer);
        this.#compute(application, half, () => {
          // A repetition of the other put, which another gateway sent, may have pointed to that file once more.
          if (machine.disk.database?.register(key).value === before) return then(answer);
          this.#pointTo(key);
          files.removeUpload(before);
          onRemoved(request, uploadOf(before));
          then(answer);
        });
      });
    };
    if (!isUpload) return commit(undefined);
    const begun = files.beginUpload(id, kind === "append" ? key : undefined);
    this.#compute(application, half, () => commit(begun));
  }

  #pointTo(key: number): void {
    const { machine, options } = this.#ports;
    const { files, database } = machine.disk;
    const value = database?.register(key).value ?? 0;
    files.pointTo(key, hasFile(value, options.fileEvery) ? value : undefined);
  }

  #commit(request: Request): ApplicationAnswer {
    const { machine, dice, options } = this.#ports;
    const { database, files } = machine.disk;
    if (database === undefined) throw new Error("the application runs without a database");
    if (database.isTorn) this.#ports.onWrong(`the database on ${machine.name} is of two moments`);
    const { kind, key, id } = request;
    if (kind === "put") database.put(key, id);
    const reading = kind === "append" ? database.append(key, id) : database.read(key);
    if (kind !== "read" && dice.chance(options.syncShare)) {
      database.sync();
      files.sync();
    }
    this.#ports.onExecuted(request);
    return { kind: "ok", reading, register: database.register(key) };
  }

  /** Rejects when it is not ready in time, or ends before. */
  async #launch(): Promise<void> {
    const { host, machine, dice, options } = this.#ports;
    this.#state = { kind: "starting" };
    const process = new SimProcess(host.world, `${machine.name}.app`, machine.clock);
    this.#process = process;
    this.#busyUntil = 0;
    const startMs = dice.between(0.5, 1.5) * options.startMs;
    const trouble = machine.application;
    await new Promise<void>((resolve, reject) => {
      process.whenDead(() => host.enter(() => reject(new Error("the application ended while it started"))));
      const late = host.clock.setTimer(options.readyMsMax, () => process.kill("crash"));
      if (trouble === "ends") host.world.after(startMs, "application ends", () => process.kill("crash"));
      if (trouble === "ends" || trouble === "never-ready") return;
      host.world.after(startMs, "application ready", () =>
        process.enter(() => {
          late.cancel();
          if (machine.disk.database === undefined) {
            machine.disk.database = new SimDatabase(options.pageSize, options.keys);
            machine.disk.database.create();
          }
          this.#findFiles();
          host.enter(resolve);
        }),
      );
    });
    if (this.#state.kind !== "starting") throw new Error("the application was stopped while it started");
    if (process.isDead) throw new Error("the application ended as soon as it was ready");
    this.#state = { kind: "running", watch: this.#watch(process) };
    if (dice.chance(options.escapeShare)) escape(host.world, machine, this.#ports.onWrong);
    this.#ready?.resolve();
    this.#ready = undefined;
    if (trouble === "crashes")
      host.world.after(
        dice.around(crashesAfterMs),
        "application crashes",
        () => process === this.#process && this.crash(),
      );
  }

  /** Each row has its file; uploads that an end interrupted are cleared away. */
  #findFiles(): void {
    const { machine, options, onWrong } = this.#ports;
    const { database, files } = machine.disk;
    if (options.fileEvery === 0) return;
    // Covered or not, it is there; in a folder that others have.
    const tree = files.tree(matcherOf(true));
    const wrong = database === undefined ? undefined : wrongFile(database, options.fileEvery, tree, files.lines);
    if (wrong !== undefined) onWrong(`the application of ${machine.name} starts, and ${wrong}`);
    files.tidy();
  }

  #onEnded(application: SimProcess, cause: Restart["cause"]): void {
    if (application !== this.#process || this.#state.kind !== "running") return;
    this.#ports.host.world.say(this.#ports.machine.name, "its application has ended");
    this.#state.watch.close();
    this.endings.announce();
    this.#afterEnding(cause);
  }

  /** A restart that fails counts like a crash. */
  #afterEnding(cause: Restart["cause"]): void {
    const { host, options, onGaveUp } = this.#ports;
    const verdict = judgeEnding(this.#restarts, cause, host.clock.now(), options.restarts);
    if (verdict.kind === "give-up") {
      this.#state = { kind: "over" };
      onGaveUp(`the application ${cause}, and ${verdict.why}`);
      return;
    }
    this.#restarts = verdict.restarts;
    this.#state = { kind: "between" };
    this.#restart().catch(() => {
      if (this.#state.kind === "starting" || this.#state.kind === "between") this.#afterEnding("ended");
    });
  }

  async #restart(): Promise<void> {
    await this.#ports.leftovers.clear("near");
    if (this.#state.kind === "between") await this.#launch();
  }

  async #end(afterMs: number): Promise<void> {
    if (this.#state.kind === "running") this.#state.watch.close();
    if (this.#state.kind !== "over") this.#state = { kind: "ending" };
    await this.#ports.host.answer(afterMs, "application ends", () => this.#process?.kill("crash"));
    await this.#ports.leftovers.clear("near");
    this.#state = { kind: "over" };
  }
}
