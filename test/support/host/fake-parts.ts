/** Parts of a host that tests of the host replace: its front, its application, its configuration. */
import { join } from "node:path";
import type { HostConfig } from "../../../src/config/types.ts";
import { RequestNames } from "../../../src/core/request-names.ts";
import { outcomeLimitsDefault } from "../../../src/core/request-outcome.ts";
import { Suspects } from "../../../src/core/suspects.ts";
import { Endings } from "../../../src/host/application/endings.ts";
import { Handover } from "../../../src/host/application/handover.ts";
import type { FrontPort } from "../../../src/host/application/front.ts";
import type { ServingTerm } from "../../../src/host/application/serving-term.ts";
import type { SupervisedApplication } from "../../../src/host/application/supervised-application.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { service } from "./log-fixture.ts";

export class FakeFront implements FrontPort {
  port = 1;
  readonly suspects = new Suspects();
  readonly handover = new Handover(new RequestNames(), systemClock);
  term: ServingTerm | undefined;
  serve(term: ServingTerm): void {
    this.term = term;
  }
  abort(): void {
    this.term = undefined;
  }
  drain(): Promise<{ cut: number }> {
    this.term = undefined;
    return Promise.resolve({ cut: 0 });
  }
}

/** An application that runs in this process. */
export class FakeApplication implements SupervisedApplication {
  readonly address = "127.0.0.1";
  readonly endings = new Endings(systemClock);
  readonly maySpareEnding = true;
  isReady = false;
  state: "idle" | "running" | "stopped" | "killed" = "idle";
  readonly port = 1;
  readonly onGaveUp: (reason: string) => void;
  startFailure: Error | undefined;
  readonly killFailures: Error[] = [];
  constructor(onGaveUp: (reason: string) => void) {
    this.onGaveUp = onGaveUp;
  }
  get status(): SupervisedApplication["status"] {
    return { state: this.state === "running" ? "ready" : "stopped", forMs: 0, detail: null, restarts: 0 };
  }
  whenReady(): Promise<void> {
    return Promise.resolve();
  }
  start(_port?: number): Promise<void> {
    if (this.startFailure !== undefined) return Promise.reject(this.startFailure);
    this.isReady = true;
    this.state = "running";
    return Promise.resolve();
  }
  stop(): Promise<void> {
    if (this.state === "running") this.state = "stopped";
    return Promise.resolve();
  }
  kill(): Promise<void> {
    const failure = this.killFailures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    if (this.state === "running") this.state = "killed";
    return Promise.resolve();
  }
}

/** A host's configuration in which nothing happens by itself. `root`: a folder for its data and its state. */
export function configOf(root: string, changes: Partial<HostConfig>): HostConfig {
  const limits = {
    connectionsMax: 1,
    headBytesMax: 1,
    headerCountMax: 1,
    bodyBytesMax: 1,
    headArrivalMs: 1,
    idleMs: 1,
    connectMs: 1,
    firstByteMs: 1,
  };
  const never = Number.MAX_SAFE_INTEGER;
  return {
    ...{
      id: "a",
      service,
      controlListen: { host: "127.0.0.1", port: 0 },
      controlUrl: "http://127.0.0.1:9",
      dataListen: { host: "127.0.0.1", port: 0 },
    },
    ...{
      dataUrl: "http://127.0.0.1:0",
      dataFolder: join(root, "data"),
      databases: ["*.db"],
      databasesExcept: [],
      databasesMax: 10_000,
      uncaptured: "hold",
      uncapturedPatienceMs: 10_000,
      stateFolder: join(root, "state"),
      setAsideFolder: join(root, "state", "aside"),
    },
    ...{
      vaultUrl: "memory:",
      vaultTimeoutMs: 100,
      bootstrap: true,
      bootstrapCheck: "quick",
      durability: { kind: "strict" },
      leaseMs: 60_000,
      isRestarted: false,
      driftMarginMs: 0,
      pollMs: 2,
    },
    ...{
      drainTimeoutMs: 100,
      drainStreamsMs: 100,
      outcomes: outcomeLimitsDefault,
      priority: 0,
      nofailover: false,
      secret: "s",
      cluster: { name: "stead", acceptBearer: false },
      limits,
      setAsideKeep: 20,
      setAsideBytesMax: 1e10,
      diskStallMs: 5_000,
    },
    application: {
      command: ["true"],
      cwd: "/",
      env: {},
      readyPath: undefined,
      readyTimeoutMs: 1,
      health: { path: undefined, intervalMs: 1_000, timeoutMs: 1_000, patienceMs: undefined },
      port: undefined,
      stopSignal: "SIGTERM",
      stopCommand: undefined,
      stopTimeoutMs: 100,
      restartsMax: 1,
      restartWindowMs: 1,
      log: { kind: "prefixed" },
    },
    checkpoint: {
      intervalMs: never,
      journalBytes: never,
      restoreBudgetMs: never,
      askedMs: 10_000,
      keepMin: 2,
      windowMs: 0,
      history: [],
    },
    ...changes,
  };
}
