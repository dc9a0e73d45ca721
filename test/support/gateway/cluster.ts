/**
 * A gateway under test with fake hosts as real processes, in a temporary folder; everything is ended and removed in
 * `stop`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterService } from "../../../src/control/gateway-api.ts";
import type { HostStatus } from "../../../src/control/host-status.ts";
import { GatewayClient } from "../../../src/control/gateway-client.ts";
import type { GatewayConfig } from "../../../src/config/types.ts";
import { Gateway, type GatewayDeps } from "../../../src/gateway/gateway.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { freePorts } from "../../../src/runtime/free-ports.ts";
import type { GatewayLimits } from "../../../src/http/limits.ts";
import { defaultDataPlane, defaultGatewayLimits } from "../config/data-plane.ts";
import type { FakeHostOptions } from "./fake-host-main.ts";

export const secret = "a-secret-of-the-tests-only";
export const reader: [string, ...string[]] = [
  process.execPath,
  new URL("sql-reader-main.ts", import.meta.url).pathname,
];

/** Waits until `condition` gives something; the test's own time limit ends it otherwise. */
export async function until<T>(condition: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    await systemClock.sleep(2);
  }
}

export class FakeHost {
  readonly options: FakeHostOptions;
  process: ChildProcess | null = null;

  constructor(options: FakeHostOptions) {
    this.options = options;
  }

  get controlUrl(): string {
    return `http://127.0.0.1:${this.options.controlPort}`;
  }

  async start(): Promise<this> {
    const main = new URL("fake-host-main.ts", import.meta.url).pathname;
    const child = spawn(process.execPath, [main, JSON.stringify(this.options)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.process = child;
    await new Promise<void>((resolve, reject) => {
      child.stdout.once("data", () => resolve());
      child.once("exit", () => reject(new Error("the fake host ended at its start")));
    });
    return this;
  }

  /** From its next heartbeat on its status has these fields; `{}`: nothing special. */
  says(change: Partial<HostStatus>): void {
    const file = `${this.options.logFolder}.${this.options.id}.says`;
    writeFileSync(`${file}.new`, JSON.stringify(change));
    renameSync(`${file}.new`, file);
  }

  signal(signal: NodeJS.Signals): void {
    this.process?.kill(signal);
  }

  async end(): Promise<void> {
    const child = this.process;
    this.process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
}

export const testLimits: GatewayLimits = {
  ...defaultGatewayLimits,
  connectionsMax: 1000,
  headBytesMax: 16_384,
  bodyBytesMax: 1_000_000,
  headArrivalMs: 5000,
  idleMs: 10_000,
  firstByteMs: 5000,
};

export class TestCluster {
  readonly folder = mkdtempSync(join(tmpdir(), "stead-gateway-"));
  readonly hosts = new Map<string, FakeHost>();
  gateway: Gateway | null = null;
  config: GatewayConfig | undefined;

  async addHost(id: string, change: Partial<FakeHostOptions> = {}): Promise<FakeHost> {
    const [controlPort = 0, dataPort = 0] = await freePorts(2);
    const host = new FakeHost({
      id,
      service: "notes",
      controlPort,
      dataPort,
      logFolder: join(this.folder, "log"),
      secret,
      priority: 0,
      nofailover: false,
      startMs: 5,
      refusePromotion: null,
      dieAfterClaim: false,
      ...change,
    });
    this.hosts.set(id, host);
    return host.start();
  }

  host(id: string): FakeHost {
    const found = this.hosts.get(id);
    if (found === undefined) throw new Error(`no host ${id}`);
    return found;
  }

  /** The gateway's warnings, one line each. */
  readonly warnings: string[] = [];
  readonly log = {
    info: () => undefined,
    warn: (what: string, fields: object = {}) => void this.warnings.push(`${what} ${JSON.stringify(fields)}`),
    error: () => undefined,
  };

  async startGateway(change: Partial<GatewayConfig> = {}, deps: Partial<GatewayDeps> = {}): Promise<Gateway> {
    const hosts = [...this.hosts.values()].map(({ options, controlUrl }) => ({
      id: options.id,
      controlUrl,
      priority: undefined,
      nofailover: undefined,
    }));
    this.config = {
      id: "g1",
      listen: { host: "127.0.0.1", port: 0 },
      adminListen: { host: "127.0.0.1", port: 0 },
      adminUrl: "http://127.0.0.1:1",
      peers: [],
      databasePath: join(this.folder, "gateway.db"),
      secret,
      cluster: { name: "stead", acceptBearer: false },
      probe: { intervalMs: 100, timeoutMs: 200, fall: 2, rise: 2 },
      hold: { requestsMax: 1000, bytesMax: 10_000_000, timeMs: 10_000 },
      workers: 1,
      replayAgainMax: 1,
      replayWrites: "never",
      replaySpool: { bytesMax: 0, folder: "/dev/null/spool" },
      answerWholeBytesMax: 65_536,
      clientHalfClose: "gone",
      drainTimeoutMs: 0,
      limits: testLimits,
      dataPlane: defaultDataPlane,
      services: [{ name: "notes", match: { host: undefined, path: undefined }, hosts, rejoin: "auto", firstByte: [] }],
      ...change,
    };
    this.gateway = await Gateway.start(this.config, { clock: systemClock, sqlReader: reader, log: this.log, ...deps });
    return this.gateway;
  }

  get client(): GatewayClient {
    return new GatewayClient(`http://127.0.0.1:${this.gateway?.adminPort ?? 0}`, secret, systemClock);
  }

  service(): ClusterService {
    const [service] = this.gateway?.status().services ?? [];
    if (service === undefined) throw new Error("the gateway has no service");
    return service;
  }

  /** Waits until the gateway routes to a primary that it sees serving, other than `not`. */
  serving(not?: string): Promise<ClusterService> {
    return until(() => {
      const service = this.service();
      return service.phase === "serving" && service.primary !== not && service.routedTo === service.primary && service;
    });
  }

  /** One request through the gateway: which host answered, or the status. */
  async ask(method = "GET"): Promise<{ status: number; host: string | null }> {
    const init = method === "POST" ? { method, body: "x" } : { method };
    const response = await fetch(`http://127.0.0.1:${this.gateway?.port ?? 0}/`, init);
    const text = await response.text();
    return {
      status: response.status,
      host: response.status === 200 ? (JSON.parse(text) as { host: string }).host : null,
    };
  }

  async stop(): Promise<void> {
    await this.gateway?.close(0);
    await Promise.all([...this.hosts.values()].map((host) => host.end()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
