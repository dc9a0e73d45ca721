/**
 * The supervisor: starts the application, waits until it is ready, watches its health, restarts it a bounded number of
 * times, stops it.
 *
 * One supervisor per term as primary. While an application that crashed or was stuck is being restarted, `whenReady`
 * holds requests; if that happens more often than allowed (src/core/host/restarts.ts), `onGaveUp` is called once and
 * the host gives the service up. src/core/host/liveness.ts decides whether it is stuck; evidence is taken before the
 * whole group is killed.
 */
import type { ApplicationConfig } from "../../config/types.ts";
import type { ApplicationStatus } from "../../control/host-status.ts";
import { judgeEnding, recentRestarts, type Restart } from "../../core/host/restarts.ts";
import type { Rules } from "../../core/rules.ts";
import { type Metrics, noMetrics } from "../../metrics/metrics.ts";
import { cleanEnvironment } from "../../runtime/clean-environment.ts";
import type { Clock } from "../../runtime/clock.ts";
import { isFreePort } from "../../runtime/free-ports.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { ActivityMeter } from "./activity.ts";
import { ApplicationError } from "./application-error.ts";
import { type ApplicationUser, commandAs, environmentAs } from "./application-user.ts";
import { Endings } from "./endings.ts";
import { checkHealth } from "./health-check.ts";
import { LivenessWatch } from "./liveness-watch.ts";
import type { ApplicationScope } from "./scope.ts";
import { hasExiting, listenersOf, ownerOfPort, processesOfGroup } from "./process-table.ts";
import { becomesReady, type Loopback, loopbacks } from "./readiness.ts";
import { runStopCommand } from "./stop-command.ts";
import { requestsShown, stuckEvidence } from "./stuck-evidence.ts";
import type { OpenRequests } from "./open-requests.ts";
import { type OutputSink, Watched } from "./watcher.ts";
import type { ApplicationOwner, SupervisedApplication } from "./supervised-application.ts";

type SupervisorState =
  | { readonly kind: "idle" }
  | { readonly kind: "starting"; readonly group: Watched }
  | { readonly kind: "running"; readonly group: Watched; readonly watch: LivenessWatch }
  /** It ended, or did not start, and the next step is being decided. */
  | { readonly kind: "between" }
  | { readonly kind: "ending"; readonly group: Watched }
  | { readonly kind: "over" };

export interface SupervisorOptions extends ApplicationOwner {
  readonly application: ApplicationConfig;
  /** The application finds its databases here (`STEAD_DATA`, `DATA_DIR`). */
  readonly dataFolder: string;
  readonly scope: ApplicationScope;
  /** undefined: the host's own. */
  readonly user?: ApplicationUser | undefined;
  readonly clock: Clock;
  readonly rules: Rules;
  /** Default: nothing is counted. */
  readonly metrics?: Metrics;
  /** The requests that the front has sent to the application. */
  readonly requests: Pick<OpenRequests, "size" | "traffic" | "oldest">;
  /** For a restart if the previous port is taken. */
  readonly freePort: () => Promise<number>;
  /** Receives the application's output; undefined: it goes to the host's own output. */
  readonly output?: OutputSink | undefined;
}

export class Supervisor implements SupervisedApplication {
  readonly endings: Endings;
  readonly #options: SupervisorOptions;
  #state: SupervisorState = { kind: "idle" };
  #ready: { promise: Promise<void>; resolve: () => void } | undefined;
  #restarts: readonly Restart[] = [];
  /** Of the last start. */
  #startMs: number | undefined;
  #port = 0;
  /** The address at which it was ready; undefined: it never was. */
  #address: Loopback | undefined;
  /** Stopped or killed: nothing is restarted or given up any more. */
  #isEnded = false;
  /** Process group of the last start. */
  #group: number | undefined;
  /** How the previous run ended, or why the start failed. */
  #lastEnd: string | undefined;
  #changedAt: number;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#changedAt = options.clock.now();
    this.endings = new Endings(options.clock, () => this.#group !== undefined && hasExiting(this.#group));
    for (const cause of ["ended", "stuck"] as const)
      for (const sequel of ["restarted", "given_up"])
        this.#metrics.counter("stead_application_endings_total", { cause, sequel });
  }

  get #metrics(): Metrics {
    return this.#options.metrics ?? noMetrics;
  }

  /** True if requests can go to the application now. */
  get isReady(): boolean {
    return this.#state.kind === "running";
  }

  /** One restart is always left for other causes; before the first one only that one is at stake. */
  get maySpareEnding(): boolean {
    const { application, clock } = this.#options;
    const used = recentRestarts(this.#restarts, clock.now(), application.restartWindowMs).length;
    return used === 0 || application.restartsMax - used >= 2;
  }

  /** The loopback address at which the application listens. */
  get address(): Loopback {
    return this.#address ?? loopbacks[0];
  }

  get port(): number {
    return this.#port;
  }

  get status(): ApplicationStatus {
    const { clock, application } = this.#options;
    const now = clock.now();
    const common = {
      restarts: recentRestarts(this.#restarts, now, application.restartWindowMs).length,
      startMs: this.#startMs ?? null,
      patienceMs: application.health.patienceMs ?? null,
    };
    const state = this.#state;
    if (state.kind === "running") {
      const { state: liveness } = state.watch;
      const detail =
        liveness.kind === "ready" ? undefined : liveness.kind === "stuck" ? this.#lastEnd : liveness.detail;
      return { state: liveness.kind, forMs: now - liveness.since, detail: detail ?? null, ...common };
    }
    const isComing = state.kind === "starting" || state.kind === "between";
    const kind = !isComing ? "stopped" : this.#restarts.length > 0 ? "restarting" : "starting";
    return { state: kind, forMs: now - this.#changedAt, detail: this.#lastEnd ?? null, ...common };
  }

  /** Resolves when the application is ready (again); never rejects: when it is given up, the gate is shut anyway. */
  whenReady(): Promise<void> {
    if (this.isReady) return Promise.resolve();
    this.#ready ??= Promise.withResolvers<void>();
    return this.#ready.promise;
  }

  /** May be called again after a transient `ApplicationError`. */
  async start(port: number): Promise<void> {
    if (this.#state.kind !== "idle") throw new ApplicationError("the application was stopped before it started");
    this.#port = port;
    try {
      await this.#launch();
    } catch (error) {
      if (!this.#isEnded)
        this.#enter(error instanceof ApplicationError && error.mayPass ? { kind: "idle" } : { kind: "over" });
      throw error;
    }
  }

  freeze(forMs: number): boolean {
    if (this.#state.kind !== "running") return false;
    const { group } = this.#state;
    group.signal("SIGSTOP");
    this.#options.clock.setTimer(forMs, () => group.signal("SIGCONT"));
    return true;
  }

  async stop(): Promise<void> {
    const { application, scope } = this.#options;
    const { stopSignal, stopTimeoutMs } = application;
    const group = this.#expectExit();
    if (group === undefined) return this.#clear();
    group.signal(stopSignal);
    scope.leftovers.signalEscaped(stopSignal, group.group);
    const timer = this.#options.clock.setTimer(stopTimeoutMs, () => {
      this.#options.onWarning(
        `the application did not stop within ${stopTimeoutMs} ms after ${stopSignal}: it is killed`,
      );
      group.signal("SIGKILL");
    });
    await Promise.all([group.ended.catch(() => undefined), this.#runStopCommand()]);
    timer.cancel();
    await this.#clear();
    this.#state = { kind: "over" };
  }

  async kill(): Promise<void> {
    const group = this.#expectExit();
    if (group === undefined) return this.#clear();
    group.signal("SIGKILL");
    await Promise.all([group.ended.catch(() => undefined), this.#runStopCommand()]);
    await this.#clear();
    this.#state = { kind: "over" };
  }

  /** Leftovers of an ended run still have its port, and the databases. */
  async #clear(): Promise<void> {
    if (this.#group !== undefined) await this.#options.scope.leftovers.clear("near", this.#group);
  }

  /** From here on an exit of the application is not a crash. */
  #expectExit(): Watched | undefined {
    this.#isEnded = true;
    const group = "group" in this.#state ? this.#state.group : undefined;
    if (this.#state.kind === "running") this.#state.watch.close();
    this.#enter(group === undefined ? { kind: "over" } : { kind: "ending", group });
    return group;
  }

  async #launch(): Promise<void> {
    const { application, scope, user } = this.#options;
    if (application.port !== undefined) await this.#ensureOwnPort(application.port);
    const group = new Watched({
      command: commandAs(user, application.command),
      cwd: application.cwd,
      env: this.#environment,
      cgroup: scope.cgroup?.nextRun(),
      output: this.#options.output,
    });
    this.#group = group.group;
    this.#enter({ kind: "starting", group });
    const startedAt = this.#options.clock.now();
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
        this.#startMs = this.#options.clock.now() - startedAt;
        this.#address = first.address;
        this.#enter({ kind: "running", group, watch: this.#watch(group) });
        this.#ready?.resolve();
        this.#ready = undefined;
        // `ended` never rejects; what follows a crash is owned by #onEnded.
        ended
          .then((end) => this.#onRunEnded(group, end.kind === "ended" ? describeExit(end.code) : "not started"))
          .catch(this.#options.onGaveUp);
        return;
      case "ended":
        await this.#clear();
        throw this.#notStarted(`it ended with ${describeExit(first.code)} before it was ready`, true);
      case "unstartable":
        throw this.#notStarted(`it could not be started: ${String(first.error)}`);
      case "timeout":
        group.signal("SIGKILL");
        // Listeners close the databases: no process of the application may be left by then.
        await ended;
        await this.#clear();
        throw this.#notStarted(`it was not ready within ${application.readyTimeoutMs} ms (${first.reason})`);
    }
  }

  get #environment(): Record<string, string | undefined> {
    const { application, dataFolder, scope, user } = this.#options;
    return {
      ...cleanEnvironment(process.env),
      ...environmentAs(user),
      DATA_DIR: dataFolder,
      STEAD_DATA: dataFolder,
      ...application.env,
      PORT: String(this.#port),
      ...scope.environment,
    };
  }

  async #ensureOwnPort(port: number): Promise<void> {
    if (await isFreePort(port)) return;
    const owner = ownerOfPort(port);
    throw this.#notStarted(
      `its port ${port} (\`port\` in [host.application]) is taken by ${owner === undefined ? "a process that this user cannot see" : `process ${owner}`}`,
      true,
    );
  }

  /** Runs together with the stop signal, or after a kill. */
  async #runStopCommand(): Promise<void> {
    const { application, onWarning, user, output } = this.#options;
    const { stopCommand: command, cwd, stopTimeoutMs: timeoutMs } = application;
    if (command === undefined || this.#group === undefined) return;
    const stop = { command: commandAs(user, command), cwd, env: this.#environment, timeoutMs, output };
    const failure = await runStopCommand(stop);
    if (failure !== undefined) onWarning(`the stop command "${command.join(" ")}" ${failure}`);
  }

  #notStarted(what: string, mayPass = false): ApplicationError {
    this.#state = { kind: "between" };
    this.#lastEnd = what;
    const command = this.#options.application.command.join(" ");
    return new ApplicationError(`application "${command}": ${what}`, mayPass);
  }

  #becomesReady(group: Watched, signal: AbortSignal): ReturnType<typeof becomesReady> {
    const { application, clock, onWarning } = this.#options;
    const { readyPath: path, readyTimeoutMs: timeoutMs } = application;
    const listening = (): readonly string[] | undefined => listeningOf(group.group);
    return becomesReady(
      { port: this.#port, path, timeoutMs, addresses: loopbacks, clock, listening, onWarning },
      signal,
    );
  }

  #watch(group: Watched): LivenessWatch {
    const { application, clock, rules, requests, commits } = this.#options;
    const target = { host: this.address, port: this.#port, path: application.health.path };
    const meter = new ActivityMeter(group.group);
    return new LivenessWatch({
      settings: application.health,
      clock,
      rules,
      check: (signal) => checkHealth(target, signal),
      vitals: () => ({
        ...meter.read(),
        traffic: requests.traffic(clock.now()),
        commits: commits(),
        openRequests: requests.size,
      }),
      onChange: this.#options.onChange,
      onStuck: (detail) => this.#onStuck(group, detail),
    });
  }

  /** The end of its group counts then, like that of a crashed one. */
  #onStuck(group: Watched, detail: string): void {
    const { requests, clock, onWarning } = this.#options;
    const evidence = stuckEvidence(group.group, requests.size, requests.oldest(requestsShown, clock.now()));
    this.#lastEnd = `it was stuck: ${detail}; ${evidence}`;
    onWarning(`the application is stuck and is killed: ${detail}; ${evidence}`);
    group.signal("SIGKILL");
  }

  #onRunEnded(group: Watched, how: string): void {
    if (this.#state.kind !== "running" || this.#state.group !== group) return;
    const { watch } = this.#state;
    watch.close();
    this.endings.announce();
    if (watch.state.kind === "stuck") this.#afterEnding("stuck", `was stuck: ${watch.state.detail}`);
    else this.#afterEnding("ended", `ended (${how})`);
  }

  #afterEnding(cause: Restart["cause"], what: string, takesAnotherPort = false): void {
    const { application, clock, onGaveUp, onWarning } = this.#options;
    const { restartsMax: max, restartWindowMs: windowMs } = application;
    // For a stuck one, the evidence is already there.
    if (cause === "ended") this.#lastEnd = `it ${what}`;
    const verdict = judgeEnding(this.#restarts, cause, clock.now(), { max, windowMs });
    this.#metrics
      .counter("stead_application_endings_total", {
        cause,
        sequel: verdict.kind === "give-up" ? "given_up" : "restarted",
      })
      .add();
    if (verdict.kind === "give-up") {
      this.#enter({ kind: "over" });
      onGaveUp(`the application ${what}, and ${verdict.why}`);
      return;
    }
    this.#restarts = verdict.restarts;
    this.#enter({ kind: "between" });
    onWarning(`the application ${what}: restart ${verdict.restarts.length} of ${max}`);
    this.#restart(takesAnotherPort).catch((error: unknown) => {
      // A failed restart counts like a crash. Its port may be the reason.
      if (!this.#isEnded) this.#afterEnding("ended", `did not start again: ${messageOf(error)}`, true);
    });
  }

  /** Restarts on its old port if possible, since some applications name their cookies after it. */
  async #restart(takesAnotherPort: boolean): Promise<void> {
    await this.#runStopCommand();
    await this.#clear();
    if (takesAnotherPort || !(await isFreePort(this.#port))) this.#port = await this.#options.freePort();
    if (!this.#isEnded) await this.#launch();
  }

  #enter(state: SupervisorState): void {
    this.#state = state;
    this.#changed();
  }

  #changed(): void {
    this.#changedAt = this.#options.clock.now();
    this.#options.onChange();
  }
}

/** The first process of a daemon ends successfully at once, and the remaining one is not watched. */
const describeExit = (code: number): string =>
  `exit code ${code}${code === 0 ? " (an application has to stay in the foreground: leave out what turns it into a daemon, such as --daemon or --detach)" : ""}`;

/** undefined: unknown on this system. */
function listeningOf(group: number): readonly string[] | undefined {
  const members = processesOfGroup(group);
  return members.length === 0 ? undefined : listenersOf(members.map(({ pid }) => pid)).map(({ address }) => address);
}
