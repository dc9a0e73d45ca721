/** Real hosts and a gateway with an application that uses SQLite as a request says (application.py). */
import { join } from "node:path";
import { GatewayClient } from "../../../src/control/gateway-client.ts";
import type { HostStatus } from "../../../src/control/host-status.ts";
import { demoApplication } from "../../../harness/applications.ts";
import type { Cluster, HostMember } from "../../../harness/cluster.ts";
import { isListening } from "../../../harness/listening.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { type Bench, type CommandResult, never, openBench, runStead, scriptApplication } from "../harness.ts";
import { edit } from "../misbehaviour/stage.ts";

export interface SceneOptions {
  readonly hosts?: number;
  /** Keys of `[host]`, one a line. */
  readonly host?: string;
  /** Of `[host]`. */
  readonly databases?: readonly string[];
  /** Of another application than application.py. */
  readonly command?: readonly [string, ...string[]];
  /** What the application does before it listens, in Python. */
  readonly atStart?: string;
  /** Instead of `stead`. */
  readonly program?: readonly [string, ...string[]];
}

const withinMs = 30_000;

export class Scene {
  readonly bench: Bench;
  readonly cluster: Cluster;
  #reached: Promise<void> | undefined;

  private constructor(bench: Bench, cluster: Cluster) {
    this.bench = bench;
    this.cluster = cluster;
  }

  /** Nothing started yet. */
  static async prepare({
    hosts = 2,
    host = "",
    databases,
    atStart,
    program,
    command: other,
  }: SceneOptions = {}): Promise<Scene> {
    const bench = openBench();
    const command =
      other ??
      ([
        demoApplication("ledger", bench.folder).command[0],
        join(import.meta.dirname, "application.py"),
        ...(atStart === undefined ? [] : [atStart]),
      ] as const);
    const cluster = await bench.cluster({
      service: "usage",
      application: scriptApplication("", { command, database: "*.db" }),
      hosts,
      ...(program === undefined ? {} : { program }),
      // Where no host can take over, a write that is lost with its host would wait as long as the hold does.
      ...(hosts === 1 ? { serviceExtra: 'replay_writes = "never"\n' } : {}),
    });
    if (host !== "")
      for (const { configFile } of cluster.hosts)
        edit(configFile, (text) => text.replace("[host]\n", `[host]\n${host}\n`));
    if (databases !== undefined)
      for (const { configFile } of cluster.hosts)
        edit(configFile, (text) => text.replace('databases = ["*.db"]', `databases = ${JSON.stringify(databases)}`));
    return new Scene(bench, cluster);
  }

  static async open(options: SceneOptions = {}): Promise<Scene> {
    const scene = await Scene.prepare(options);
    try {
      await scene.start();
      await scene.cluster.whenWhole(withinMs, never);
      await scene.#whenReached();
      return scene;
    } catch (error) {
      await scene.close();
      throw error;
    }
  }

  async start(): Promise<void> {
    await Promise.all([...this.cluster.hosts, ...this.cluster.gateways].map((member) => this.cluster.start(member)));
  }

  #whenReached(): Promise<void> {
    return (this.#reached ??= this.cluster
      .until(
        "the gateway to take connections",
        withinMs,
        never,
        () => "it does not",
        async () => (await isListening(this.#gateway.url)) || undefined,
      )
      .then(() => undefined));
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

  /** Runs Python in the application, by the gateway: status, and what `result` is. */
  async run(code: string): Promise<{ readonly status: number; readonly result: unknown }> {
    // Hosts may be whole before the gateway listens.
    await this.#whenReached();
    const answer = await fetch(`${this.#gateway.url}/`, { method: "POST", body: code });
    const text = await answer.text();
    try {
      return { status: answer.status, result: JSON.parse(text) as unknown };
    } catch {
      return { status: answer.status, result: text };
    }
  }

  /** The same; throws unless it was acknowledged. */
  async must(code: string): Promise<unknown> {
    const { status, result } = await this.run(code);
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(result)}\n${this.cluster.logTails()}`);
    return result;
  }

  /** `stead ...` against this gateway. */
  stead(...args: readonly string[]): Promise<CommandResult> {
    return runStead([...args, "--gateway", this.#gateway.adminUrl], {
      env: { STEAD_SECRET: this.cluster.secret },
      cwd: this.bench.folder,
    });
  }

  async events(): Promise<readonly { readonly what: string; readonly host: string | null; readonly detail: string }[]> {
    const answer = await new GatewayClient(this.#gateway.adminUrl, this.cluster.secret, systemClock).cluster();
    return answer.kind === "ok" ? answer.value.services.flatMap(({ events }) => events) : [];
  }

  async until(what: string, holds: () => Promise<boolean>, limitMs = withinMs): Promise<void> {
    await this.cluster.until(
      what,
      limitMs,
      never,
      () => "it does not come",
      async () => ((await holds().catch(() => false)) ? true : undefined),
    );
  }

  async statuses(): Promise<readonly (HostStatus | undefined)[]> {
    return Promise.all(this.cluster.hosts.map((host) => this.cluster.statusOf(host)));
  }

  /** The primary with its whole group is gone; resolves when another one serves. */
  async killPrimary(): Promise<HostMember> {
    const before = await this.primary();
    before.process?.signal("SIGKILL");
    await before.process?.ended;
    await this.until("another primary", async () => ((await this.cluster.primary())?.host ?? before) !== before);
    return before;
  }

  close(): Promise<void> {
    return this.bench.close();
  }

  get #gateway() {
    const [gateway] = this.cluster.gateways;
    if (gateway === undefined) throw new Error("there is no gateway");
    return gateway;
  }
}
