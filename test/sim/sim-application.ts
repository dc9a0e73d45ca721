/**
 * The application: a process of its own that runs transactions, and its supervisor as the host sees it.
 *
 * It dies with its host (the watcher) and can crash, hang and be restarted by itself. What it commits is in the database
 * at once; whether anybody ever hears of it is the gate's business.
 */
import { Endings } from "../../src/host/application/endings.ts";
import type { SupervisedApplication } from "../../src/host/term.ts";
import type { Dice } from "./dice.ts";
import type { Answer, Request } from "./messages.ts";
import { SimDatabase } from "./sim-database.ts";
import type { SimMachine } from "./sim-machine.ts";
import { SimProcess } from "./sim-process.ts";

export interface ApplicationOptions {
  readonly startMs: number;
  /** It is killed when it is not ready in this time. */
  readonly readyMsMax: number;
  readonly execMs: number;
  readonly restartsMax: number;
  /** Share of transactions after which everything so far is synced to the disk. */
  readonly syncShare: number;
  readonly checkpointShare: number;
  readonly pageSize: number;
  readonly keys: number;
}

export interface ApplicationPorts {
  readonly host: SimProcess;
  readonly machine: SimMachine;
  readonly dice: Dice;
  readonly options: ApplicationOptions;
  readonly onGaveUp: (reason: string) => void;
  readonly onTorn: (what: string) => void;
  readonly onExecuted: (request: Request) => void;
}

/** `undefined`: the application died on it. */
export type Executed = { readonly answer: Answer; readonly wantsCheckpoint: boolean } | undefined;

const tooOften = "the application ended too often";

/** Of a host that failed: only a person can mend it. */
export const isApplicationsFault = (reason: string): boolean => reason.startsWith("the application");

/** Of an application that ends again and again: how long it runs. */
const crashesAfterMs = 30;

export class SimApplication implements SupervisedApplication {
  readonly address = "127.0.0.1";
  readonly port = 1;
  readonly endings: Endings;
  readonly maySpareEnding = true;
  readonly #ports: ApplicationPorts;
  #process: SimProcess | undefined;
  #state: "idle" | "starting" | "running" | "ending" | "over" = "idle";
  #ready: ReturnType<typeof Promise.withResolvers<void>> | undefined;
  #restarts = 0;

  constructor(ports: ApplicationPorts) {
    this.#ports = ports;
    this.endings = new Endings(ports.host.clock);
    ports.host.whenDead(() => this.#process?.kill("crash"));
  }

  get status(): SupervisedApplication["status"] {
    const states = { idle: "stopped", starting: this.#restarts > 0 ? "restarting" : "starting", running: "ready", ending: "stopped", over: "stopped" } as const;
    return { state: states[this.#state], forMs: 0, detail: null, restarts: this.#restarts };
  }

  get isReady(): boolean {
    return this.#state === "running";
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

  start(): Promise<void> {
    return this.#launch();
  }

  async stop(): Promise<void> {
    await this.#end(this.#ports.dice.between(1, 20));
  }

  async kill(): Promise<void> {
    await this.#end(0);
  }

  /** The fault: the process dies by itself and is restarted by its supervisor. */
  crash(): void {
    if (this.#state !== "running") return;
    this.#process?.kill("crash");
    this.#ports.host.enter(() => {
      this.endings.note();
      this.#onEnded();
    });
  }

  /** Called in the host's process; `done` is called in the host's process, or never when the application hangs for good. */
  run(request: Request, done: (executed: Executed) => void): () => void {
    const { host, dice, options } = this.#ports;
    const application = this.#process;
    if (application === undefined || application.isDead) {
      host.world.after(0.05, "application refuses", () => host.enter(() => done(undefined)));
      return () => undefined;
    }
    let isOver = false;
    const leave = application.whenDead(() => {
      if (isOver) return;
      isOver = true;
      host.world.after(0.05, "application died", () => host.enter(() => done(undefined)));
    });
    host.world.after(dice.around(options.execMs), "execute", () => {
      application.enter(() => {
        if (isOver) return;
        const answer = this.#execute(request);
        const wantsCheckpoint = dice.chance(options.checkpointShare);
        host.world.after(0.05, "application answers", () => {
          if (isOver) return;
          isOver = true;
          leave();
          host.enter(() => done({ answer, wantsCheckpoint }));
        });
      });
    });
    return () => {
      isOver = true;
      leave();
    };
  }

  #execute(request: Request): Answer {
    const { machine, dice, options } = this.#ports;
    const database = machine.disk.database;
    if (database === undefined) throw new Error("the application runs without a database");
    if (database.isTorn) this.#ports.onTorn(`the database on ${machine.name} is of two moments`);
    const { kind, key, id } = request;
    if (kind === "put") database.put(key, id);
    const reading = kind === "append" ? database.append(key, id) : database.read(key);
    if (kind !== "read" && dice.chance(options.syncShare)) database.sync();
    this.#ports.onExecuted(request);
    return { kind: "ok", reading, register: database.register(key) };
  }

  /** Rejects when it is not ready in time, or ends before. */
  async #launch(): Promise<void> {
    const { host, machine, dice, options } = this.#ports;
    this.#state = "starting";
    const process = new SimProcess(host.world, `${machine.name}.app`, machine.clock);
    this.#process = process;
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
          host.enter(resolve);
        }),
      );
    });
    if (this.#state !== "starting") throw new Error("the application was stopped while it started");
    this.#state = "running";
    this.#ready?.resolve();
    this.#ready = undefined;
    if (trouble === "crashes") host.world.after(dice.around(crashesAfterMs), "application crashes", () => process === this.#process && this.crash());
  }

  /** A restart that fails counts like a crash. */
  #onEnded(): void {
    if (this.#state !== "running" && this.#state !== "starting") return;
    this.#restarts += 1;
    if (this.#restarts > this.#ports.options.restartsMax) {
      this.#state = "over";
      this.#ports.onGaveUp(tooOften);
      return;
    }
    this.#launch().catch(() => this.#onEnded());
  }

  async #end(afterMs: number): Promise<void> {
    if (this.#state !== "over") this.#state = "ending";
    await this.#ports.host.answer(afterMs, "application ends", () => this.#process?.kill("crash"));
    this.#state = "over";
  }
}
