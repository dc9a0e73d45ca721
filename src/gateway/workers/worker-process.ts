/** One worker's place: its present process, restarted when it ends, killed when it is silent. */
import { spawn, type ChildProcess } from "node:child_process";
import { afterEnd, freshRestart, type RestartState } from "../../core/worker-restart.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { WorkerStatus } from "../route/data-plane.ts";
import { readMessages, sendMessage } from "./line-channel.ts";
import { fromWorkerSchema, type FromWorker, type ToWorker } from "./messages.ts";

/** A worker reports every second; a process that is silent for this long does not serve either. */
const silentMsMax = 10_000;
/** Time beyond the drain time: closing files and connections. */
const endMsMax = 2_000;

export interface WorkerProcessOptions {
  /** Counts from 1. */
  readonly number: number;
  readonly command: readonly [string, ...string[]];
  /** The listening sockets. */
  readonly descriptors: readonly number[];
  readonly clock: Clock;
  readonly log: Logger;
  /** The messages for a process that has just started, in order. */
  greeting(): readonly ToWorker[];
  onMessage(message: FromWorker): void;
  /** A process ended without being told to. */
  onLost(detail: string): void;
}

interface Running {
  readonly child: ChildProcess;
  readonly startedAt: number;
  listening: boolean;
  silence: Timer | undefined;
}

export class WorkerProcess {
  readonly #options: WorkerProcessOptions;
  #running: Running | undefined;
  #restart: RestartState = freshRestart;
  #restartTimer: Timer | undefined;
  #restarts = 0;
  #stopping: (() => void) | undefined;
  #isStopped = false;
  #report: Extract<FromWorker, { kind: "report" }> | undefined;

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
    this.#start();
  }

  get status(): WorkerStatus {
    const running = this.#running;
    const state = running === undefined ? "waiting" : running.listening ? "serving" : "starting";
    return {
      pid: running?.child.pid,
      state,
      connections: this.#report?.connections ?? 0,
      restarts: this.#restarts,
    };
  }

  /** Its last report; undefined before the first one of a process. */
  get report(): Extract<FromWorker, { kind: "report" }> | undefined {
    return this.#report;
  }

  send(message: ToWorker): void {
    const running = this.#running;
    const input = running?.child.stdin ?? undefined;
    if (running === undefined || input === undefined) return;
    if (!sendMessage(input, message)) this.#kill(running, "it does not read its messages");
  }

  /** Resolves when its process has ended. */
  stop(drainMs: number, idle: "close" | "serve-once"): Promise<void> {
    this.#isStopped = true;
    this.#restartTimer?.cancel();
    const running = this.#running;
    if (running === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(drainMs + endMsMax, () => running.child.kill("SIGKILL"));
      this.#stopping = () => {
        timer.cancel();
        resolve();
      };
      this.send({ kind: "drain", drainMs, idle });
    });
  }

  #start(): void {
    const {
      command: [program, ...args],
      number,
      descriptors,
      clock,
    } = this.#options;
    const child = spawn(program, [...args, String(number)], { stdio: ["pipe", "pipe", "inherit", ...descriptors] });
    const running: Running = { child, startedAt: clock.now(), listening: false, silence: undefined };
    this.#running = running;
    child.once("error", (error) => this.#onEnd(running, `it cannot be started: ${error.message}`));
    child.once("exit", (code, signal) =>
      this.#onEnd(running, signal === null ? `it ended with code ${code ?? "?"}` : `it was ended by ${signal}`),
    );
    child.stdin?.on("error", () => undefined); // its end says more
    if (child.stdout !== null)
      readMessages(child.stdout, fromWorkerSchema, {
        onMessage: (message) => this.#heard(running, message),
        onEnd: (why) => why !== undefined && this.#kill(running, why),
      });
    this.#watchSilence(running);
    for (const message of this.#options.greeting()) this.send(message);
  }

  #heard(running: Running, message: FromWorker): void {
    if (this.#running !== running) return;
    this.#watchSilence(running);
    if (message.kind === "listening") running.listening = true;
    if (message.kind === "report") this.#report = message;
    this.#options.onMessage(message);
  }

  #watchSilence(running: Running): void {
    running.silence?.cancel();
    running.silence = this.#options.clock.setTimer(silentMsMax, () =>
      this.#kill(running, `it was silent for ${silentMsMax} ms`),
    );
  }

  #kill(running: Running, why: string): void {
    if (this.#running !== running) return;
    this.#options.log.warn("worker is killed", { worker: this.#options.number, why });
    running.child.kill("SIGKILL");
  }

  #onEnd(running: Running, why: string): void {
    if (this.#running !== running) return;
    const { clock, log, number, onLost } = this.#options;
    this.#running = undefined;
    this.#report = undefined;
    running.silence?.cancel();
    if (this.#isStopped) return this.#stopping?.();
    const { state, delayMs } = afterEnd(this.#restart, clock.now() - running.startedAt);
    this.#restart = state;
    this.#restarts += 1;
    const detail = `worker ${number}: ${why}; its connections are lost, another takes its place ${delayMs === 0 ? "now" : `in ${delayMs} ms`}`;
    log.error("worker lost", { worker: number, why, restart_ms: delayMs });
    onLost(detail);
    this.#restartTimer = clock.setTimer(delayMs, () => this.#start());
  }

  /** For the gateway's warnings: undefined if there is none. */
  get warning(): string | undefined {
    if (this.#restart.endsInRow < 3 || this.#running?.listening === true) return undefined;
    return `worker ${this.#options.number} ended ${this.#restart.endsInRow} times in a row`;
  }
}
