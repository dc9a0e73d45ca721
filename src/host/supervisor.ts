/**
 * The supervisor: starts the application, waits until it is ready, restarts it a bounded number of times, stops it.
 *
 * One supervisor per term as primary. While a crashed application is being restarted, `whenReady` holds the requests at
 * the gate; when it ends more often than allowed, `onGaveUp` is told once and the host gives the service up.
 */
import { connect } from "node:net";
import { request } from "node:http";
import type { ApplicationConfig } from "../config/types.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Application } from "./ports.ts";
import { Watched } from "./watcher.ts";

type SupervisorState =
  | { readonly kind: "idle" }
  | { readonly kind: "starting"; readonly group: Watched }
  | { readonly kind: "running"; readonly group: Watched }
  | { readonly kind: "ending"; readonly group: Watched }
  | { readonly kind: "over" };

/** Wait between two looks whether the application is ready: clients wait for as long as it is ready unseen. */
const readyLookMs = { least: 4, most: 50 } as const;
/** Within these bounds, so much of the time that it has taken so far: a start is seen at most a twentieth late. */
const readyLookShare = 0.05;

export interface SupervisorOptions {
  readonly application: ApplicationConfig;
  /** The application finds its databases here (`STEAD_DATA`, `DATA_DIR`). */
  readonly dataFolder: string;
  readonly clock: Clock;
  /** The application ended more often than allowed; it does not run any more. */
  readonly onGaveUp: (reason: string) => void;
  readonly onWarning: (text: string) => void;
}

/** The application could not be started, or did not become ready. */
export class ApplicationError extends Error {
  override readonly name = "ApplicationError";
}

export class Supervisor implements Application {
  readonly #options: SupervisorOptions;
  #state: SupervisorState = { kind: "idle" };
  #ready: { promise: Promise<void>; resolve: () => void } | undefined;
  #restarts: number[] = [];
  #port = 0;
  /** Stopped or killed: nothing is restarted, nothing given up any more. */
  #isEnded = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** True when requests can go to the application right now. */
  get isReady(): boolean {
    return this.#state.kind === "running";
  }

  /** Resolves when the application is ready (again); never rejects: when it is given up, the gate is shut anyway. */
  whenReady(): Promise<void> {
    if (this.isReady) return Promise.resolve();
    this.#ready ??= Promise.withResolvers<void>();
    return this.#ready.promise;
  }

  async start(port: number): Promise<void> {
    if (this.#state.kind !== "idle") throw new ApplicationError("the application was stopped before it started");
    this.#port = port;
    await this.#launch();
  }

  async stop(): Promise<void> {
    const { stopSignal, stopTimeoutMs } = this.#options.application;
    const group = this.#end();
    if (group === undefined) return;
    group.signal(stopSignal);
    const timer = this.#options.clock.setTimer(stopTimeoutMs, () => {
      this.#options.onWarning(`the application did not stop within ${stopTimeoutMs} ms after ${stopSignal}: it is killed`);
      group.signal("SIGKILL");
    });
    await group.ended.catch(() => undefined);
    timer.cancel();
    this.#state = { kind: "over" };
  }

  async kill(): Promise<void> {
    const group = this.#end();
    if (group === undefined) return;
    group.signal("SIGKILL");
    await group.ended.catch(() => undefined);
    this.#state = { kind: "over" };
  }

  /** From here on an exit of the application is not a crash. */
  #end(): Watched | undefined {
    this.#isEnded = true;
    const group = "group" in this.#state ? this.#state.group : undefined;
    this.#state = group === undefined ? { kind: "over" } : { kind: "ending", group };
    return group;
  }

  async #launch(): Promise<void> {
    const { application, dataFolder } = this.#options;
    const group = new Watched({
      command: application.command,
      cwd: application.cwd,
      env: { ...process.env, DATA_DIR: dataFolder, STEAD_DATA: dataFolder, ...application.env, PORT: String(this.#port) },
    });
    this.#state = { kind: "starting", group };
    const ended = group.ended.then(
      ({ code }) => ({ kind: "ended", code }) as const,
      (error: unknown) => ({ kind: "unstartable", error }) as const,
    );
    const abort = new AbortController();
    const first = await Promise.race([ended, this.#becomesReady(abort.signal)]);
    abort.abort();
    if (this.#state.kind !== "starting") throw new ApplicationError("the application was stopped while it started");
    switch (first.kind) {
      case "ready":
        this.#state = { kind: "running", group };
        this.#ready?.resolve();
        this.#ready = undefined;
        // `ended` never rejects; what follows a crash is owned by #onEnded.
        ended.then((end) => this.#onEnded(group, end.kind === "ended" ? `exit code ${end.code}` : "not started")).catch(this.#options.onGaveUp);
        return;
      case "ended":
        throw this.#notStarted(`it ended with exit code ${first.code} before it was ready`);
      case "unstartable":
        throw this.#notStarted(`it could not be started: ${String(first.error)}`);
      case "timeout":
        group.signal("SIGKILL");
        // Whoever hears of it closes the databases: nothing of the application may be left by then.
        await ended;
        throw this.#notStarted(`it was not ready within ${application.readyTimeoutMs} ms (${this.#readyWords()})`);
    }
  }

  #readyWords(): string {
    const path = this.#options.application.readyPath;
    return path === null ? `ready is: port ${this.#port} accepts a connection` : `ready is: GET ${path} answers 2xx or 3xx`;
  }

  #notStarted(what: string): ApplicationError {
    this.#state = { kind: "over" };
    const command = this.#options.application.command.join(" ");
    return new ApplicationError(`application "${command}": ${what}; see its output, and [host.application] in the configuration`);
  }

  async #becomesReady(signal: AbortSignal): Promise<{ kind: "ready" } | { kind: "timeout" }> {
    const { application, clock } = this.#options;
    const startedAt = clock.now();
    const until = startedAt + application.readyTimeoutMs;
    while (!signal.aborted) {
      if (await this.#isReadyNow(signal)) return { kind: "ready" };
      if (clock.now() > until) return { kind: "timeout" };
      const shareMs = (clock.now() - startedAt) * readyLookShare;
      await clock.sleep(Math.min(Math.max(shareMs, readyLookMs.least), readyLookMs.most), signal).catch(() => undefined);
    }
    return { kind: "timeout" };
  }

  #isReadyNow(signal: AbortSignal): Promise<boolean> {
    const path = this.#options.application.readyPath;
    return path === null ? acceptsConnection(this.#port) : answersWell(this.#port, path, signal);
  }

  #onEnded(group: Watched, how: string): void {
    if (this.#state.kind !== "running" || this.#state.group !== group) return;
    const { application, clock, onGaveUp, onWarning } = this.#options;
    const now = clock.now();
    this.#restarts = this.#restarts.filter((at) => now - at < application.restartWindowMs);
    if (this.#restarts.length >= application.restartsMax) {
      this.#state = { kind: "over" };
      onGaveUp(`the application ended (${how}) and was restarted ${this.#restarts.length} times within ${application.restartWindowMs} ms already`);
      return;
    }
    this.#restarts.push(now);
    onWarning(`the application ended (${how}): restart ${this.#restarts.length} of ${application.restartsMax}`);
    this.#launch().catch((error: unknown) => {
      if (this.#isEnded) return;
      // A restart that failed counts like a crash: its port or a lock may be free again the next time.
      this.#state = { kind: "running", group };
      this.#onEnded(group, error instanceof Error ? error.message : String(error));
    });
  }
}

function acceptsConnection(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function answersWell(port: number, path: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host: "127.0.0.1", port, path, signal, agent: false, timeout: 1000, headers: { connection: "close" } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode !== undefined && answer.statusCode >= 200 && answer.statusCode < 400);
    });
    asked.once("timeout", () => asked.destroy());
    asked.once("error", () => resolve(false));
    asked.once("close", () => resolve(false));
    asked.end();
  });
}
