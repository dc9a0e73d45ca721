/**
 * A gateway process: the real control plane (src/gateway/control-plane.ts: registry, store, replication between
 * gateways, monitors, orders, the state machine of a service) and the real request loop (src/http/proxy/proxy.ts,
 * local-route.ts, hold.ts), on simulated ports for hosts, peers, disk and sockets.
 */
import * as v from "valibot";
import type { ProbeConfig } from "../../src/config/types.ts";
import { peerMessageSchema, type PeerRefusal } from "../../src/control/peer-api.ts";
import type { Command, ServiceState } from "../../src/core/failover/state.ts";
import type { RowReplica } from "../../src/core/replication/replication.ts";
import type { Rules } from "../../src/core/rules.ts";
import { ControlPlane } from "../../src/gateway/control-plane.ts";
import type { DrillOrder, DrillOutcome } from "../../src/gateway/service/drills.ts";
import type { ControlConfig } from "../../src/gateway/service/served-services.ts";
import type { RouteHooks, ServiceRoute } from "../../src/gateway/route/service-route.ts";
import { LocalRoute } from "../../src/gateway/route/local-route.ts";
import { StateStore } from "../../src/gateway/state/store.ts";
import { RequestNamer } from "../../src/http/proxy/request-namer.ts";
import { Proxy } from "../../src/http/proxy/proxy.ts";
import { noMetrics } from "../../src/metrics/metrics.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { Answer, Request } from "./messages.ts";
import { dial, type Network, type ServerEnd } from "./network.ts";
import { SimExchange, SimUpstream } from "./sim-exchange.ts";
import { SimHostControl, SimPeer } from "./sim-links.ts";
import type { SimMachine } from "./sim-machine.ts";
import { SimProcess } from "./sim-process.ts";
import { type GatewayDisk, simStateDisk } from "./sim-state-disk.ts";
import type { World } from "./world.ts";

export interface GatewayOptions {
  readonly service: string;
  readonly probe: ProbeConfig;
  readonly holdMs: number;
  readonly heldMax: number;
  readonly firstByteMs: number;
  readonly diskMs: number;
  /** Share of messages to peers that arrive twice. */
  readonly againShare: number;
}

export interface GatewayWatch {
  /** The state machine threw, or the driver did. */
  onDefect(gateway: string, what: string): void;
}

export interface GatewaySetup {
  readonly world: World;
  readonly network: Network;
  readonly machine: SimMachine;
  readonly machines: ReadonlyMap<string, SimMachine>;
  readonly hostNames: readonly string[];
  readonly gatewayNames: readonly string[];
  readonly disk: GatewayDisk;
  readonly dice: SeededRandom;
  readonly rules: Rules;
  readonly options: GatewayOptions;
  readonly watch: GatewayWatch;
}

const running = new WeakMap<SimProcess, SimGateway>();
export const gatewayOf = (process: SimProcess | undefined): SimGateway | undefined =>
  process === undefined ? undefined : running.get(process);

const connectMsMax = 500;
const holdBytesMax = 1_000_000_000;
const releaseConcurrency = 16;

export class SimGateway {
  readonly process: SimProcess;
  readonly name: string;
  heldMost = 0;
  readonly #setup: GatewaySetup;
  #store: StateStore | undefined;
  #control: ControlPlane | undefined;
  #route: LocalRoute | undefined;
  #proxy: Proxy | undefined;
  #phase = "unknown";

  constructor(setup: GatewaySetup) {
    this.#setup = setup;
    const { machine, world, disk, dice, options, watch } = setup;
    this.name = machine.name;
    const process = new SimProcess(world, machine.name, machine.clock);
    this.process = process;
    machine.process = process;
    running.set(process, this);
    const { clock } = process;
    const store = new StateStore({
      disk: simStateDisk({ process, disk, dice, diskMs: options.diskMs }),
      gateway: machine.name,
      clock,
      random: dice,
    });
    this.#start(store).catch((error: unknown) =>
      watch.onDefect(this.name, error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  }

  /** Of the service; undefined until the database was read. */
  get state(): ServiceState | undefined {
    return this.#control?.services()[0]?.state;
  }

  get replica(): RowReplica | undefined {
    return this.#store?.replica;
  }

  /** A client's request. */
  onRequest(request: Request, client: ServerEnd<Answer>): void {
    if (this.#proxy === undefined) return client.answer({ kind: "not-executed", reason: "no gateway listens yet" });
    const { network, options, watch } = this.#setup;
    const onDefect = (error: unknown): void =>
      watch.onDefect(this.name, `a request: ${error instanceof Error ? error.message : String(error)}`);
    const exchange = new SimExchange({
      network,
      process: this.process,
      firstByteMs: options.firstByteMs,
      request,
      client,
      onDefect,
    });
    this.#proxy.handle(exchange)?.catch(onDefect);
    this.heldMost = Math.max(this.heldMost, this.#route?.waiting.requests ?? 0);
  }

  /** POST /v1/peer/sync: text in, text out. Undefined: no process listens yet. */
  onPeer(text: string): string | undefined {
    if (this.#control === undefined) return undefined;
    const parsed = v.safeParse(peerMessageSchema, JSON.parse(text));
    if (parsed.success) return JSON.stringify(this.#control.peers.handle(parsed.output));
    this.#setup.watch.onDefect(this.name, `a message that is not of the format: ${v.summarize(parsed.issues)}`);
    return JSON.stringify({ reason: "format", error: "format", advice: "" } satisfies PeerRefusal);
  }

  /** What an operator orders. */
  command(command: Command): void {
    const service = this.#control?.services()[0];
    if (service === undefined) return;
    if (command.kind === "pause" || command.kind === "resume")
      this.#control?.setPause(service, command.kind === "pause" ? { reason: undefined, forMs: undefined } : undefined);
    service.command(command, new AbortController().signal).then(
      ({ kind }) => this.#say(`command ${command.kind}: ${kind}`),
      () => undefined,
    );
  }

  /** Undefined: no process decides yet. */
  drill(order: DrillOrder): Promise<DrillOutcome> | undefined {
    const service = this.#control?.services()[0];
    return service === undefined ? undefined : this.#control?.drills.run(service, order, new AbortController().signal);
  }

  setPriority(host: string, priority: number): void {
    this.#control?.changeHost(this.#setup.options.service, host, { priority });
  }

  async #start(store: StateStore): Promise<void> {
    const { dice, rules, options, network, watch } = this.#setup;
    const { process } = this;
    const { clock } = process;
    const remembered = await store.open();
    const config = this.#config();
    const say = (what: string, fields: object = {}): void => this.#say(`${what} ${JSON.stringify(fields)}`);
    const link = (url: string) => ({ network, process, dice, to: this.#machine(url) });
    const control = new ControlPlane({
      ...{ clock, metrics: noMetrics, store, remembered, rules, startedAtMs: Math.floor(clock.wallTime()) },
      config: () => config,
      log: { info: say, warn: say, error: say },
      plane: { route: (_, hooks) => this.#plane(hooks), reconfigure: () => undefined },
      control: (url) => new SimHostControl(link(url)),
      transport: (url) => new SimPeer(link(url), options.againShare),
      moved: (runtime) => {
        const { kind } = runtime.state.phase;
        if (runtime.defect !== undefined) watch.onDefect(this.name, runtime.defect);
        if (kind === this.#phase) return;
        this.#say(`${this.#phase} -> ${kind}`);
        this.#phase = kind;
      },
    });
    this.#store = store;
    this.#control = control;
    control.peers.start();
  }

  #plane(hooks: RouteHooks): ServiceRoute {
    const { options, rules } = this.#setup;
    const { clock } = this.process;
    const hold = {
      requestsMax: options.heldMax,
      bytesMax: holdBytesMax,
      waitMsMax: options.holdMs,
      releaseConcurrency,
    };
    const route = new LocalRoute({
      clock,
      limits: {},
      hold: () => hold,
      upstream: (upstream) => new SimUpstream(upstream, this.#machine(upstream.host)),
      tryConnect: (host, _, done) => this.#tryConnect(host, done),
    });
    this.#route = route;
    this.#proxy = new Proxy({
      route,
      clock,
      rules,
      namer: new RequestNamer(this.#setup.dice, undefined, undefined, rules),
      patienceMs: options.holdMs,
      hooks: {
        onDone: (end, held, replays) => hooks.onDone(end, held, replays, 1),
        onConnectionError: (upstream, cause) => {
          const { host } = route;
          if (host !== undefined && route.current() === upstream) hooks.onConnectionError(host, cause);
        },
      },
    });
    return route;
  }

  #tryConnect(host: string, done: (open: boolean) => void): void {
    const { network } = this.#setup;
    const over = (open: boolean): void => {
      timer.cancel();
      dialled.abort();
      done(open);
    };
    const timer = this.process.clock.setTimer(connectMsMax, () => over(false));
    const dialled = dial<never>({
      ...{ network, client: this.process, from: this.name, to: this.#machine(host), label: "connect" },
      serve: (_, end) => end.end(),
      onLine: () => undefined,
      onEnd: (how) => over(how === "ended"),
    });
  }

  #config(): ControlConfig {
    const { hostNames, gatewayNames, options } = this.#setup;
    return {
      id: this.name,
      adminUrl: urlOf(this.name),
      peers: gatewayNames.filter((name) => name !== this.name).map(urlOf),
      probe: options.probe,
      drainTimeoutMs: 1_000,
      cluster: { name: "stead", acceptBearer: false },
      services: [
        {
          name: options.service,
          match: { host: undefined, path: undefined },
          hosts: hostNames.map((id) => ({ id, controlUrl: urlOf(id), priority: undefined, nofailover: undefined })),
          rejoin: "auto",
          firstByte: [],
        },
      ],
    };
  }

  /** By name, or by the address that stands for it. */
  #machine(name: string): SimMachine {
    const machine = this.#setup.machines.get(name.replace("http://", ""));
    if (machine === undefined) throw new Error(`no machine ${name}`);
    return machine;
  }

  #say(what: string): void {
    this.#setup.world.say(this.name, what);
  }
}

const urlOf = (name: string): string => `http://${name}`;
