/**
 * A cluster whose application misbehaves on demand (application.py), what really happened in it, and clients beside
 * that count everything.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterService } from "../../../src/control/gateway-api.ts";
import { GatewayClient } from "../../../src/control/gateway-client.ts";
import type { HostStatus } from "../../../src/control/host-status.ts";
import { demoApplication } from "../../../harness/applications.ts";
import type {
  Cluster,
  ClusterOptions,
  GatewayMember,
  HostMember,
  Member,
  MemberPlaces,
} from "../../../harness/cluster.ts";
import { type CallAnswer, HttpCaller } from "../../../harness/http-call.ts";
import { livingOf, type ProcessMark } from "../../../harness/process-table.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { type Bench, never, openBench, scriptApplication } from "../harness.ts";

export interface StageOptions extends Omit<Partial<ClusterOptions>, "places"> {
  /** Of application.py. */
  readonly manners?: readonly string[];
  /**
   * Keys of `[host]`, of `[host.application]` and of `[gateway]`, one a line; further tables of the host are
   * `hostExtra`.
   */
  readonly host?: string;
  readonly applicationKeys?: string;
  readonly gateway?: string;
  /** Given the folder of the cluster. */
  readonly places?: (folder: string) => MemberPlaces;
}

/** One line of events.jsonl. */
interface Happening {
  readonly event: "start" | "session" | "refused" | "begin" | "end" | "cancelled";
  readonly pid: number;
  /** Tells the process from a later one with its number: proc(5), field 22. */
  readonly born: string;
  readonly data: string;
  readonly method?: string;
  readonly target?: string;
  /** Of a process in a session of its own: the one that was started. */
  readonly parent?: number;
}

export const withinMs = 30_000;
const answerWithinMs = 45_000;
const clientsMost = 200;
const service = "rude";

export class Stage {
  readonly bench: Bench;
  readonly cluster: Cluster;
  readonly #caller = new HttpCaller(clientsMost);
  readonly #folder: string;

  private constructor(bench: Bench, cluster: Cluster, folder: string) {
    this.bench = bench;
    this.cluster = cluster;
    this.#folder = folder;
  }

  /** Three hosts and one gateway with default settings, nothing started. */
  static async prepare({
    manners = [],
    host = "",
    applicationKeys = "",
    gateway = "",
    places,
    ...options
  }: StageOptions = {}): Promise<Stage> {
    const bench = openBench();
    const folder = bench.subfolder("happened");
    const [python] = demoApplication("ledger", bench.folder).command;
    const command: [string, ...string[]] = [python, join(import.meta.dirname, "application.py"), folder, ...manners];
    const application = scriptApplication("", { command, database: "app.db" });
    const cluster = await bench.cluster({
      service,
      application,
      hosts: 3,
      ...options,
      ...(places === undefined ? {} : { places: places(bench.folder) }),
    });
    for (const { configFile } of cluster.hosts) {
      edit(configFile, (text) =>
        text
          .replace("[host]\n", `[host]\n${host}\n`)
          .replace("[host.application]\n", `[host.application]\n${applicationKeys}\n`),
      );
    }
    for (const { configFile } of cluster.gateways)
      edit(configFile, (text) => text.replace("[gateway]\n", `[gateway]\n${gateway}\n`));
    return new Stage(bench, cluster, folder);
  }

  /** The same, whole and serving. */
  static async open(options: StageOptions = {}): Promise<Stage> {
    const stage = await Stage.prepare(options);
    try {
      await stage.startAll();
      await stage.whole();
      return stage;
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  async startAll(): Promise<void> {
    await Promise.all([...this.cluster.hosts, ...this.cluster.gateways].map((member) => this.cluster.start(member)));
  }

  /** One primary, the others secondaries, and clients are answered. */
  async whole(): Promise<HostMember> {
    const primary = await this.cluster.whenWhole(withinMs, never);
    await this.until("the gateway to serve", async () => {
      const found = await this.service().catch(() => undefined);
      return (
        found?.phase === "serving" && found.primary === primary.id && (await this.ask("GET", "/ping")).status === 200
      );
    });
    return primary;
  }

  get gateway(): GatewayMember {
    const [gateway] = this.cluster.gateways;
    if (gateway === undefined) throw new Error("there is no gateway");
    return gateway;
  }

  hostOf(id: string): HostMember {
    const host = this.cluster.hosts.find((one) => one.id === id);
    if (host === undefined) throw new Error(`there is no ${id}`);
    return host;
  }

  async primary(): Promise<HostMember> {
    return this.cluster.until(
      "a primary",
      withinMs,
      never,
      () => "there is none",
      async () => (await this.cluster.primary())?.host,
    );
  }

  async secondaries(): Promise<readonly HostMember[]> {
    const primary = await this.primary();
    return this.cluster.hosts.filter((host) => host !== primary);
  }

  statusOf(host: HostMember): Promise<HostStatus | undefined> {
    return this.cluster.statusOf(host);
  }

  admin(): GatewayClient {
    return new GatewayClient(this.gateway.adminUrl, this.cluster.secret, systemClock);
  }

  /** What the gateway says of the service. */
  async service(): Promise<ClusterService> {
    const answer = await this.admin().cluster();
    const found = answer.kind === "ok" ? answer.value.services.find(({ name }) => name === service) : undefined;
    if (found === undefined) throw new Error(`the gateway does not tell its status: ${JSON.stringify(answer)}`);
    return found;
  }

  async epoch(): Promise<number> {
    return (await this.service()).epoch;
  }

  /** Waits for a condition, and says all there is to know when it does not come. */
  async until(what: string, holds: () => Promise<boolean> | boolean, limitMs = withinMs): Promise<void> {
    await this.cluster.until(
      what,
      limitMs,
      never,
      () => "it does not come",
      async () => ((await holds()) ? true : undefined),
    );
  }

  ask(method: string, path: string, timeoutMs = answerWithinMs): Promise<CallAnswer> {
    return this.#caller.call({ method, url: this.gateway.url + path, timeoutMs });
  }

  happened(): readonly Happening[] {
    const file = join(this.#folder, "events.jsonl");
    if (!existsSync(file)) return [];
    // The last one is empty, or is being written.
    const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Happening);
  }

  /** How often a request was begun, on whichever host. */
  executions(target: string): number {
    return this.happened().filter((one) => one.event === "begin" && one.target === target).length;
  }

  /** How often an application came up, on whichever host. */
  get starts(): number {
    return this.happened().filter(({ event }) => event === "start").length;
  }

  /** Every application that is started from now on finds the file. */
  mark(name: "away" | "port-taken"): void {
    writeFileSync(join(this.#folder, name), "");
  }

  unmark(name: "away" | "port-taken"): void {
    rmSync(join(this.#folder, name), { force: true });
  }

  isMarked(name: "away" | "port-taken"): boolean {
    return existsSync(join(this.#folder, name));
  }

  /** The process that serves on this host: the last that came up there. */
  applicationOf(host: HostMember): Happening {
    const found = this.happened().findLast(
      ({ event, data }) => event === "start" && data === join(host.folder, "data"),
    );
    if (found === undefined) throw new Error(`no application came up on ${host.id}`);
    return found;
  }

  /** Every process of an application so far. */
  everStarted(): readonly ProcessMark[] {
    return this.happened().filter(({ event }) => event === "start");
  }

  logOf(member: Member): string {
    return readFileSync(member.logFile, "utf8");
  }

  subfolder(name: string): string {
    const path = join(this.bench.folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** No host has given up, and none has ended. */
  async expectNoHostLost(): Promise<void> {
    for (const host of this.cluster.hosts) {
      const status = await this.statusOf(host);
      if (status === undefined || status.role === "failed")
        throw new Error(`${host.id} is lost: ${status?.reason ?? "it does not answer"}\n${this.cluster.logTails()}`);
    }
  }

  async close(): Promise<void> {
    this.#caller.close();
    const started = this.everStarted();
    await this.bench.close();
    // What escaped its host would outlive the test.
    for (const { pid } of livingOf(started)) tryKill(pid, "SIGKILL");
  }
}

/** Clients beside what is tested, that want an answer to everything: reads, and a tenth of them writes. */
export class Beside {
  answered = 0;
  /** Writes whose fate stead does not know: in flight when the application ended, no answer can be given to them. */
  unknown = 0;
  readonly failures: string[] = [];
  readonly #clients: Promise<void>[];
  #goesOn = true;

  /** `path`: what the reads ask for. */
  constructor(stage: Stage, { clients = 10, perSecond = 100, path = "/ping" } = {}) {
    const pauseMs = (1000 * clients) / perSecond;
    this.#clients = Array.from({ length: clients }, async () => {
      for (let nth = 0; this.#goesOn; nth += 1) {
        const isWrite = nth % 10 === 9;
        await this.#one(stage, isWrite ? "POST" : "GET", isWrite ? "/rows" : path);
        await systemClock.sleep(pauseMs);
      }
    });
  }

  async stop(): Promise<void> {
    this.#goesOn = false;
    await Promise.all(this.#clients);
  }

  async #one(stage: Stage, method: "GET" | "POST", path: string): Promise<void> {
    try {
      const { status, headers, text } = await stage.ask(method, path);
      if (status === 200 || status === 201) this.answered += 1;
      else if (method === "POST" && status === 502 && headers["stead-outcome"] === "unknown") this.unknown += 1;
      else this.failures.push(`${method} ${path}: ${status} ${text.trim()}`);
    } catch (error) {
      this.failures.push(`${method} ${path}: ${String(error)}`);
    }
  }
}

export function edit(file: string, change: (text: string) => string): void {
  const text = readFileSync(file, "utf8");
  const changed = change(text);
  if (changed === text) throw new Error(`nothing changed in ${file}`);
  writeFileSync(file, changed);
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}
