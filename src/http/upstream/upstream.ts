/**
 * A bounded keep-alive pool of connections to one upstream.
 *
 * A request takes an unused connection (the most recent one, so that the others age out) or a new one, or waits in
 * order of arrival. Unused connections are kept for less time than the upstream keeps them, so a request rarely meets
 * one that is just being closed; if it does, its user is told "gone" and decides about a replay.
 */
import type { Histogram } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import { systemTcp } from "../../runtime/tcp/system-tcp.ts";
import type { Tcp } from "../../runtime/tcp/tcp.ts";
import type { NamedRequest } from "../../core/request-names.ts";
import { epochField, epochFieldOf, requestField, requestFieldOf } from "../message/stead-fields.ts";
import { Deadlines } from "../../runtime/deadlines.ts";
import type { HeaderList } from "../message/headers.ts";
import { fieldSet, STEAD } from "../message/known-fields.ts";
import { httpLimits, type HttpLimits } from "../limits.ts";
import { UpstreamConnection, type UpstreamPool } from "./upstream-connection.ts";

export interface UpstreamOptions {
  readonly host: string;
  readonly port: number;
  readonly limits?: Partial<HttpLimits>;
  readonly clock: Clock;
  /** Default: the runtime's. */
  readonly tcp?: Pick<Tcp, "connect"> | undefined;
  /** The epoch that its host serves: every request names it. Undefined: not a host, or no epochs. */
  readonly epoch?: number | undefined;
  /** A connection could not be made or broke during an exchange: a reason to probe the host at once. */
  readonly onConnectionError?: (reason: string) => void;
  /** Seconds from sending a request until the first byte of its response; default: not measured. */
  readonly firstByte?: Histogram | undefined;
}

/** What a gateway has heard of a host, for requests with names (core/request-names.ts). */
export interface HeardOfHost {
  /** A position of the log, from before anything that is sent to the host now; 0: none yet. */
  readonly position: number;
  /** Identity of the vault that has that log; undefined: unknown. */
  readonly vault?: string | undefined;
  /** Its version knows requests by their names. */
  readonly takesNames: boolean;
}

const nothingHeard: HeardOfHost = { position: 0, takesNames: false };

const ownNames: readonly string[] = [epochField.toLowerCase(), requestField.toLowerCase()];
const ownFields = fieldSet(STEAD);

/** A request for a connection. Exactly one of the two is called once, possibly before `acquire` returns. */
export interface ConnectionWaiter {
  /**
   * Whether a connection that was idle for a while may serve it. The upstream may be closing such a connection, and a
   * request that must not be sent twice would then have an unknown outcome; a new connection costs far less than that.
   */
  readonly mayReuseOld: boolean;
  onConnection(connection: UpstreamConnection): void;
  onRefused(reason: string): void;
}

export interface UpstreamStats {
  readonly connections: number;
  readonly unused: number;
  readonly tunnels: number;
  readonly waiting: number;
  /** Connections made, and requests sent over a previously used one. */
  readonly connected: number;
  readonly reused: number;
  readonly connectFailures: number;
}

export class Upstream implements UpstreamPool {
  readonly host: string;
  readonly port: number;
  readonly epoch: number | undefined;
  /** What is heard of its host that requests with names rest on. */
  heard: HeardOfHost = nothingHeard;
  readonly #epochLine: string | undefined;
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly firstByte: Histogram | undefined;
  readonly deadlines: Deadlines;
  readonly tcp: Pick<Tcp, "connect">;
  readonly #onConnectionError: ((reason: string) => void) | undefined;
  readonly #all = new Set<UpstreamConnection>();
  readonly #unused: UpstreamConnection[] = [];
  /** Connections that have become tunnels: they last, and do not count against the bound. */
  readonly #tunnels = new Set<UpstreamConnection>();
  /** Connections that belong to a client connection: they do not count against the bound either. */
  readonly #pinned = new Set<UpstreamConnection>();
  readonly #waiters: ConnectionWaiter[] = [];
  #connecting = 0;
  #closed: string | undefined;
  #drainReason: string | undefined;
  #connected = 0;
  #reused = 0;
  #connectFailures = 0;

  constructor(options: UpstreamOptions) {
    this.host = options.host;
    this.port = options.port;
    this.epoch = options.epoch;
    this.#epochLine = options.epoch === undefined ? undefined : `${epochField}: ${options.epoch}\r\n`;
    this.limits = httpLimits(options.limits);
    this.clock = options.clock;
    this.firstByte = options.firstByte;
    this.deadlines = new Deadlines(options.clock);
    this.tcp = options.tcp ?? systemTcp;
    this.#onConnectionError = options.onConnectionError;
  }

  get stats(): UpstreamStats {
    return {
      connections: this.#all.size,
      unused: this.#unused.length,
      tunnels: this.#tunnels.size,
      waiting: this.#waiters.length,
      connected: this.#connected,
      reused: this.#reused,
      connectFailures: this.#connectFailures,
    };
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /**
   * Returns the fields of a request with the epoch for which it was routed, and with its name; a client's own such
   * fields are dropped.
   */
  nameRequest(headers: HeaderList, named: NamedRequest | undefined): HeaderList {
    if (this.epoch === undefined || this.#epochLine === undefined) return headers;
    const clean = headers.mayHave(ownFields) ? headers.without((name) => ownNames.includes(name)) : headers;
    if (named === undefined) return clean.withLines(this.#epochLine, ownFields);
    const epoch = epochFieldOf(this.epoch, named);
    return clean.withLines(`${epochField}: ${epoch}\r\n${requestField}: ${requestFieldOf(named)}\r\n`, ownFields);
  }

  /** Gives `waiter` a connection, now or later, or refuses. */
  acquire(waiter: ConnectionWaiter): void {
    if (this.#closed !== undefined) {
      waiter.onRefused(this.#closed);
      return;
    }
    for (let connection = this.#unused.pop(); connection !== undefined; connection = this.#unused.pop()) {
      if (!connection.isOpen) continue;
      if (!waiter.mayReuseOld && this.deadlines.now - connection.unusedSince > this.limits.upstreamFreshMs) {
        // The others are older still. One of them makes room if a new connection would exceed the bound.
        this.#unused.push(connection);
        if (!this.#hasRoom) this.#unused.shift()?.abort("replaced by a new connection");
        break;
      }
      this.#reused++;
      connection.deadlineAt = Infinity;
      waiter.onConnection(connection);
      return;
    }
    if (this.#waiters.length >= this.limits.upstreamWaitingMax) {
      waiter.onRefused("too many requests wait for a connection to the upstream");
      return;
    }
    this.#waiters.push(waiter);
    this.#connectForWaiters();
  }

  /** Withdraws a request that `acquire` has not answered yet. */
  cancel(waiter: ConnectionWaiter): void {
    const at = this.#waiters.indexOf(waiter);
    if (at !== -1) this.#waiters.splice(at, 1);
  }

  /**
   * The exchange on `connection` is complete and it may serve another. `keepAliveMs`: how long the upstream keeps it.
   */
  release(connection: UpstreamConnection, keepAliveMs?: number): void {
    connection.detach();
    // One second less, so that the upstream is not closing the connection while we use it.
    if (keepAliveMs !== undefined) connection.idleMsMax = Math.max(1, keepAliveMs - 1000);
    connection.uses++;
    if (!connection.isOpen || this.#closed !== undefined || this.#drainReason !== undefined) {
      connection.abort(this.#closed ?? this.#drainReason ?? "the upstream closed the connection");
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.#reused++;
      waiter.onConnection(connection);
      return;
    }
    const idleMs = Math.min(this.limits.upstreamIdleMs, connection.idleMsMax);
    connection.unusedSince = this.deadlines.now;
    connection.expire(idleMs);
    this.#unused.push(connection);
  }

  /**
   * Ends everything now: exchanges in flight are lost, waiting ones are not sent, later ones are refused with `reason`.
   */
  abort(reason: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    for (const waiter of this.#waiters.splice(0)) waiter.onRefused(reason);
    for (const connection of [...this.#all]) connection.abort(reason);
  }

  /** Closes idle connections now and busy ones when they are returned. */
  drain(reason: string): void {
    this.#drainReason = reason;
    for (const connection of [...this.#unused.splice(0), ...this.#pinned])
      if (!connection.isUsed) connection.abort(reason);
  }

  /**
   * Closes connections without an exchange, including those being made: the process at their other end is gone. Not
   * every connection learns of that: a server with TCP_DEFER_ACCEPT (nginx, Apache, Bun) hears of a connection with its
   * first bytes, and if it ends before them, the kernel forgets the connection silently. Bytes sent on it later are
   * answered with a reset, as from a living process.
   */
  abortUnused(reason: string): void {
    for (const connection of [...this.#all]) if (!connection.isUsed) connection.abort(reason);
  }

  /** Called by the forwarding code when an exchange found the upstream broken. */
  reportError(reason: string): void {
    if (this.#closed === undefined) this.#onConnectionError?.(reason);
  }

  /** The connection belongs to one client connection from now on: it never serves another. */
  pin(connection: UpstreamConnection): void {
    this.#pinned.add(connection);
    this.#connectForWaiters();
  }

  /**
   * The exchange on a pinned connection is complete. Returns whether its client may keep it, for as long as the client
   * connection may be idle, or the upstream keeps it (`keepAliveMs`).
   */
  releasePinned(connection: UpstreamConnection, keepAliveMs?: number): boolean {
    connection.detach();
    connection.uses++;
    const reason = this.#closed ?? this.#drainReason;
    if (!connection.isOpen || reason !== undefined) {
      connection.abort(reason ?? "the upstream closed the connection");
      return false;
    }
    connection.unusedSince = this.deadlines.now;
    connection.expire(Math.min(this.limits.idleMs, Math.max(1, (keepAliveMs ?? Infinity) - 1000)));
    return true;
  }

  /** The connection is a tunnel from now on; it will not be returned. */
  onTunnel(connection: UpstreamConnection): void {
    this.#pinned.delete(connection);
    this.#tunnels.add(connection);
    this.#connectForWaiters();
  }

  get #hasRoom(): boolean {
    return this.#all.size - this.#tunnels.size - this.#pinned.size < this.limits.upstreamConnectionsMax;
  }

  onConnected(connection: UpstreamConnection): void {
    this.#connecting--;
    this.#connected++;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.onConnection(connection);
      return;
    }
    connection.unusedSince = this.deadlines.now;
    connection.expire(this.limits.upstreamIdleMs);
    this.#unused.push(connection);
  }

  onConnectFailed(connection: UpstreamConnection, reason: string): void {
    this.#connecting--;
    this.#connectFailures++;
    this.#all.delete(connection);
    if (this.#closed !== undefined) return;
    this.#waiters.shift()?.onRefused(reason);
    this.reportError(reason);
    this.#connectForWaiters();
  }

  onClosed(connection: UpstreamConnection): void {
    this.#all.delete(connection);
    this.#tunnels.delete(connection);
    this.#pinned.delete(connection);
    const at = this.#unused.indexOf(connection);
    if (at !== -1) this.#unused.splice(at, 1);
    if (this.#closed === undefined) this.#connectForWaiters();
  }

  /** Starts one connection attempt for each waiter without one, as far as the bound allows. */
  #connectForWaiters(): void {
    while (this.#connecting < this.#waiters.length && this.#hasRoom) {
      this.#connecting++;
      this.#all.add(new UpstreamConnection(this, this.host, this.port, this.limits.connectMs));
    }
  }
}
