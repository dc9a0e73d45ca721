/**
 * The supervisor: starts the application, waits until it is ready, restarts it a bounded number of times, stops it.
 *
 * One supervisor per term as primary. While a crashed application is being restarted, `whenReady` holds the requests at
 * the gate; when it ends more often than allowed, `onGaveUp` is told once and the host gives the service up.
 */
import type { ApplicationConfig } from "../config/types.ts";
import type { Clock } from "../runtime/clock.ts";
import { listenersOf, processesOfGroup } from "./application/process-table.ts";
import { becomesReady, type Loopback, loopbacks } from "./application/readiness.ts";
import type { Application } from "./ports.ts";
import { Watched } from "./watcher.ts";

type SupervisorState =
  | { readonly kind: "idle" }
  | { readonly kind: "starting"; readonly group: Watched }
  | { readonly kind: "running"; readonly group: Watched }
  | { readonly kind: "ending"; readonly group: Watched }
  | { readonly kind: "over" };

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
  /** Where it was ready; undefined: it never was. */
  #address: Loopback | undefined;
  /** Stopped or killed: nothing is restarted, nothing given up any more. */
  #isEnded = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** True when requests can go to the application right now. */
  get isReady(): boolean {
    return this.#state.kind === "running";
  }

  /** The loopback address at which the application listens. */
  get address(): Loopback {
    return this.#address ?? loopbacks[0];
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
    const first = await Promise.race([ended, this.#becomesReady(group, abort.signal)]);
    abort.abort();
    if (this.#state.kind !== "starting") throw new ApplicationError("the application was stopped while it started");
    switch (first.kind) {
      case "ready":
        this.#address = first.address;
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
        throw this.#notStarted(`it was not ready within ${application.readyTimeoutMs} ms (${first.reason})`);
    }
  }

  #notStarted(what: string): ApplicationError {
    this.#state = { kind: "over" };
    const command = this.#options.application.command.join(" ");
    return new ApplicationError(`application "${command}": ${what}; see its output, and [host.application] in the configuration`);
  }

  #becomesReady(group: Watched, signal: AbortSignal): ReturnType<typeof becomesReady> {
    const { application, clock, onWarning } = this.#options;
    const { readyPath: path, readyTimeoutMs: timeoutMs } = application;
    // The front has one address for a whole term.
    const addresses = this.#address === undefined ? loopbacks : [this.#address];
    const listening = (): readonly string[] | undefined => listeningOf(group.group);
    return becomesReady({ port: this.#port, path, timeoutMs, addresses, clock, listening, onWarning }, signal);
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

/** undefined: this system does not tell. */
function listeningOf(group: number): readonly string[] | undefined {
  const members = processesOfGroup(group);
  return members.length === 0 ? undefined : listenersOf(members.map(({ pid }) => pid)).map(({ address }) => address);
}
