/** Several gateways as processes, in front of the same fake hosts; links between a gateway and a host can be cut. */
import { spawn, type ChildProcess } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { ClusterService, ClusterStatus } from "../../../src/control/gateway-api.ts";
import { GatewayClient } from "../../../src/control/gateway-client.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { freePort, freePorts } from "../../../src/runtime/free-ports.ts";
import { secret, TestCluster, until } from "./cluster.ts";

/** A wire to one host that can be cut. */
class Wire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly port: number;
  isCut = false;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async to(target: number): Promise<Wire> {
    const port = await freePort();
    let wire: Wire | null = null;
    const server = createServer((socket) => wire?.join(socket, target));
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    wire = new Wire(server, port);
    return wire;
  }

  join(socket: Socket, target: number): void {
    if (this.isCut) {
      socket.destroy();
      return;
    }
    const other = connect(target, "127.0.0.1");
    for (const each of [socket, other]) {
      this.#sockets.add(each);
      each.on("error", () => undefined);
      each.on("close", () => {
        this.#sockets.delete(each);
        socket.destroy();
        other.destroy();
      });
    }
    socket.pipe(other);
    other.pipe(socket);
  }

  cut(isCut: boolean): void {
    this.isCut = isCut;
    if (isCut) for (const socket of this.#sockets) socket.destroy();
  }

  close(): Promise<void> {
    this.cut(true);
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

export class TestGateway {
  readonly id: string;
  readonly adminPort: number;
  readonly port: number;
  readonly databasePath: string;
  readonly client: GatewayClient;
  process: ChildProcess | null = null;

  constructor(id: string, port: number, adminPort: number, databasePath: string) {
    this.id = id;
    this.port = port;
    this.adminPort = adminPort;
    this.databasePath = databasePath;
    this.client = new GatewayClient(this.adminUrl, secret, systemClock);
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  async status(): Promise<ClusterStatus | undefined> {
    const answer = await this.client.cluster();
    return answer.kind === "ok" ? answer.value : undefined;
  }

  async service(): Promise<ClusterService | undefined> {
    return (await this.status())?.services[0];
  }

  serving(primary?: string): Promise<ClusterService> {
    return until(async () => {
      const service = await this.service();
      return (
        service !== undefined &&
        service.phase === "serving" &&
        service.routedTo === service.primary &&
        (primary === undefined || service.primary === primary) &&
        service
      );
    });
  }

  async sql(sql: string): Promise<string> {
    const answer = await this.client.sql({ sql, rowsMax: 10_000 });
    if (answer.kind !== "ok") throw new Error(`${this.id}: ${JSON.stringify(answer)}`);
    return JSON.stringify(answer.value.rows);
  }

  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.process;
    this.process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGCONT");
    child.kill(signal);
    await ended;
  }
}

const tables = ["services", "hosts", "gateways", "health", "epochs", "failovers", "events", "audit"];

export class TestGateways extends TestCluster {
  readonly gateways = new Map<string, TestGateway>();
  readonly #wires = new Map<string, Wire>();

  /** A gateway that is told of `peers`, and reaches each host over a wire of its own. */
  async add(
    id: string,
    peers: readonly TestGateway[],
    hosts: readonly string[] = [...this.hosts.keys()],
  ): Promise<TestGateway> {
    const [port = 0, adminPort = 0] = await freePorts(2);
    const gateway = new TestGateway(id, port, adminPort, join(this.folder, `${id}.db`));
    this.gateways.set(id, gateway);
    for (const host of hosts) this.#wires.set(`${id} ${host}`, await Wire.to(this.host(host).options.controlPort));
    this.configure(gateway, peers, hosts);
    await this.start(id);
    return gateway;
  }

  configure(gateway: TestGateway, peers: readonly TestGateway[], hosts: readonly string[], asId = gateway.id): string {
    const file = join(this.folder, `${gateway.id}.toml`);
    writeFileSync(
      file,
      `[cluster]\nsecret = "overridden-by-gateway-main"\n[gateway]\nid = "${asId}"\nlisten = "127.0.0.1:${gateway.port}"\nadmin = "127.0.0.1:${gateway.adminPort}"\n` +
        `database = "${gateway.databasePath}"\npeers = ${JSON.stringify(peers.map(({ adminUrl }) => adminUrl))}\n` +
        `[gateway.probe]\ninterval = "100ms"\ntimeout = "300ms"\n[[service]]\nname = "notes"\n` +
        hosts
          .map(
            (host) =>
              `[[service.host]]\nid = "${host}"\ncontrol = "http://127.0.0.1:${this.wire(gateway.id, host).port}"\n`,
          )
          .join(""),
    );
    return file;
  }

  async start(id: string, env: Record<string, string> = {}): Promise<TestGateway> {
    const gateway = this.at(id);
    const main = new URL("gateway-main.ts", import.meta.url).pathname;
    const child = spawn(process.execPath, [main, join(this.folder, `${id}.toml`)], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    gateway.process = child;
    await new Promise<void>((resolve, reject) => {
      child.stdout.once("data", () => resolve());
      child.once("exit", () => reject(new Error(`gateway ${id} ended at its start`)));
    });
    return gateway;
  }

  at(id: string): TestGateway {
    const found = this.gateways.get(id);
    if (found === undefined) throw new Error(`no gateway ${id}`);
    return found;
  }

  wire(gateway: string, host: string): Wire {
    const found = this.#wires.get(`${gateway} ${host}`);
    if (found === undefined) throw new Error(`no wire from ${gateway} to ${host}`);
    return found;
  }

  /** Waits until all gateways that run know each other and count `registered`. */
  async together(registered: number): Promise<void> {
    const running = [...this.gateways.values()].filter(({ process }) => process !== null);
    await until(async () => {
      const lists = await Promise.all(running.map(({ client }) => client.gateways()));
      return lists.every(
        (list) =>
          list.kind === "ok" &&
          list.value.registered === registered &&
          list.value.gateways.filter(({ trouble }) => trouble === null).length >= running.length,
      );
    });
  }

  /** Waits until the tables are the same on all gateways that run. Gives the rows. */
  async sameRows(): Promise<string> {
    const running = [...this.gateways.values()].filter(({ process }) => process !== null);
    return until(async () => {
      const contents = await Promise.all(running.map((gateway) => content(gateway)));
      return contents.every((text) => text === contents[0]) && contents[0];
    });
  }

  override async stop(): Promise<void> {
    await Promise.all([...this.gateways.values()].map((gateway) => gateway.end()));
    await Promise.all([...this.#wires.values()].map((wire) => wire.close()));
    await super.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function content(gateway: TestGateway): Promise<string> {
  const parts: string[] = [];
  for (const table of tables) parts.push(`${table}: ${await gateway.sql(`SELECT * FROM t_${table} ORDER BY 1, 2, 3`)}`);
  return parts.join("\n");
}
