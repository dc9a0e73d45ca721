/**
 * The destination of one service's requests for the data plane (`Route` of src/http/proxy/route.ts): the primary's
 * connections, and the hold for requests without one. The state machine's effects drive it; it decides only one thing
 * itself:
 *
 * If no host can take over and the last known primary refuses connections, sending every request to a closed port would
 * use up its patience. The hold then closes, and one connection attempt per `retryConnectMs` detects when the port is
 * back.
 */
import { connect } from "node:net";
import { Hold, holdEnds, type HoldOptions, type HoldWaits } from "../../http/proxy/hold.ts";
import type { HttpLimits } from "../../http/limits.ts";
import type { Maintenance, Route } from "../../http/proxy/route.ts";
import { type HeardOfHost, Upstream, type UpstreamOptions } from "../../http/upstream/upstream.ts";
import type { Histogram, Metrics } from "../../metrics/metrics.ts";
import type { Tcp } from "../../runtime/tcp/tcp.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { ServiceRoute } from "./service-route.ts";

const retryConnectMs = 50;
const connectTimeoutMs = 500;

export interface LocalRouteOptions {
  readonly clock: Clock;
  /** Read for every request, so that a new configuration applies at once. */
  readonly hold: () => Omit<HoldOptions, "clock" | "waits">;
  readonly limits: Partial<HttpLimits>;
  /** How a host is reached; default: in clear text. Plain hosts always are. */
  readonly tcpTo?: ((host: string) => Pick<Tcp, "connect">) | undefined;
  /** Default: connections of this process. */
  readonly upstream?: (options: UpstreamOptions) => Upstream;
  /** Default: a TCP connection that is closed again. */
  readonly tryConnect?: (host: string, port: number, done: (open: boolean) => void) => void;
  /** Default: not measured. */
  readonly measures?: RouteMeasures;
}

interface RouteMeasures {
  readonly waits: HoldWaits;
  readonly firstByte: Histogram;
}

export function routeMeasures(metrics: Metrics, service: string): RouteMeasures {
  const waits = Object.fromEntries(
    holdEnds.map((result) => [result, metrics.histogram("stead_hold_duration_seconds", { service, result })]),
  ) as HoldWaits;
  return { waits, firstByte: metrics.histogram("stead_upstream_first_byte_seconds", { service }) };
}

interface Active {
  readonly host: string;
  readonly dataUrl: string;
  /** Undefined: a plain host, which has no epochs. */
  readonly epoch: number | undefined;
  readonly upstream: Upstream;
}

export class LocalRoute implements Route, ServiceRoute {
  readonly #options: LocalRouteOptions;
  readonly #hold: Hold;
  #active: Active | undefined;
  /** Set while the hold is closed only because the port is closed. */
  #waitingForPort: Timer | undefined;
  #wanted: "route" | "hold" = "hold";
  #maintenance: Maintenance | undefined;
  #isDoubted = true;

  constructor(options: LocalRouteOptions) {
    this.#options = options;
    this.#hold = new Hold(liveHold(options));
  }

  current(): Upstream | undefined {
    return this.#active?.upstream;
  }

  whenServing(): Hold {
    return this.#hold;
  }

  get host(): string | undefined {
    return this.#active?.host;
  }

  get waiting(): ServiceRoute["waiting"] {
    return { requests: this.#hold.waiting, bytes: this.#hold.waitingBytes };
  }

  route(host: string, dataUrl: string, epoch: number | undefined, heard?: HeardOfHost): void {
    if (
      this.#active !== undefined &&
      (this.#active.dataUrl !== dataUrl || this.#active.epoch !== epoch || this.#active.upstream.isClosed)
    ) {
      this.#active.upstream.abort(`host ${host} serves now`);
      this.#active = undefined;
    }
    this.#active = { host, dataUrl, epoch, upstream: this.#active?.upstream ?? this.#upstream(host, dataUrl, epoch) };
    if (heard !== undefined) this.#hear(this.#active.upstream, heard);
    this.#wanted = "route";
    this.#cancelWaitForPort();
    this.#hold.open();
  }

  heard(epoch: number, heard: HeardOfHost): void {
    const upstream = this.#active?.upstream;
    if (upstream?.epoch === epoch) this.#hear(upstream, heard);
  }

  /** A report may overtake an earlier one. */
  #hear(upstream: Upstream, heard: HeardOfHost): void {
    upstream.heard = { ...heard, position: Math.max(upstream.heard.position, heard.position) };
  }

  get isDoubted(): boolean {
    return this.#isDoubted;
  }

  doubt(isDoubted: boolean): void {
    this.#isDoubted = isDoubted;
  }

  holdRequests(): void {
    this.#wanted = "hold";
    this.#cancelWaitForPort();
    this.#hold.close();
  }

  abortHost(host: string, reason: string): void {
    if (this.#active === undefined || this.#active.host !== host) return;
    this.#hold.close();
    this.#active.upstream.abort(reason);
    this.#active = undefined;
  }

  waitForPort(): void {
    if (this.#wanted !== "route" || this.#waitingForPort !== undefined || this.#active === undefined) return;
    this.#hold.close();
    this.#tryPortSoon();
  }

  /** Decisions about the primary continue meanwhile, and apply when it ends. */
  maintain(maintenance: Maintenance | undefined): void {
    this.#maintenance = maintenance;
    this.#hold.setMaintenance(maintenance !== undefined);
  }

  maintenance(): Maintenance | undefined {
    return this.#maintenance;
  }

  close(): void {
    this.#cancelWaitForPort();
    this.#hold.close();
    this.#active?.upstream.abort("the gateway is stopping");
    this.#active = undefined;
  }

  #tryPortSoon(): void {
    this.#waitingForPort = this.#options.clock.setTimer(retryConnectMs, () => {
      const active = this.#active;
      if (active === undefined || this.#waitingForPort === undefined) return;
      (this.#options.tryConnect ?? tryConnect)(active.upstream.host, active.upstream.port, (open) => {
        if (this.#waitingForPort === undefined || this.#active !== active || this.#wanted !== "route") return;
        if (!open) return this.#tryPortSoon();
        this.#waitingForPort = undefined;
        this.#hold.open();
      });
    });
  }

  #cancelWaitForPort(): void {
    this.#waitingForPort?.cancel();
    this.#waitingForPort = undefined;
  }

  #upstream(id: string, dataUrl: string, epoch: number | undefined): Upstream {
    const url = new URL(dataUrl);
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const { limits, clock, upstream, measures, tcpTo } = this.#options;
    const tcp = epoch === undefined ? undefined : tcpTo?.(id);
    const options = { host, port: Number(url.port || 80), epoch, limits, clock, tcp, firstByte: measures?.firstByte };
    return upstream === undefined ? new Upstream(options) : upstream(options);
  }
}

function liveHold({ hold, clock, measures }: LocalRouteOptions): HoldOptions {
  return {
    clock,
    waits: measures?.waits,
    get requestsMax() {
      return hold().requestsMax;
    },
    get bytesMax() {
      return hold().bytesMax;
    },
    get waitMsMax() {
      return hold().waitMsMax;
    },
    get releaseConcurrency() {
      return hold().releaseConcurrency;
    },
  };
}

function tryConnect(host: string, port: number, done: (open: boolean) => void): void {
  const socket = connect({ host, port, timeout: connectTimeoutMs });
  let answered = false;
  const answer = (open: boolean): void => {
    if (answered) return;
    answered = true;
    socket.destroy();
    done(open);
  };
  socket.once("connect", () => answer(true));
  socket.once("timeout", () => answer(false));
  socket.once("error", () => answer(false));
}
