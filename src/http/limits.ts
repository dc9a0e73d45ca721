/**
 * The one table of the data plane's bounds: default, range, configuration key, and what each bounds. The types here,
 * the schema of the file and the example of `stead init` (src/config/limits.ts), and the message to a worker derive
 * from this table; a test holds docs/OPERATIONS.md to it.
 *
 * Sizes are bytes, times are milliseconds. A value of 0 for a time or a rate means "no such limit". The defaults suit a
 * server on the open internet in front of ordinary applications; a setting replaces exactly one of them (`httpLimits({
 * idleMs: 5_000 })`).
 */
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const KiB = 2 ** 10;
const MiB = 2 ** 20;
const GiB = 2 ** 30;

export interface LimitRow {
  /** Its key in [gateway.limits]; a limit without one follows another setting. */
  readonly key?: string;
  readonly unit: "bytes" | "ms" | "count";
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly doc: string;
  /** Present if [host.limits] has this limit too; holds what differs there. */
  readonly host?: { readonly default?: number; readonly min?: number; readonly doc?: string };
}

export const limitTable = {
  connectionsMax: {
    key: "connections",
    unit: "count",
    default: 10_000,
    min: 1,
    max: 1_000_000,
    doc: "concurrent client connections; at the bound those that are idle longest are closed, and if none is idle, the new one. The limit of open files must allow 2 for each, and 128; the default is lowered to what it allows",
    host: { doc: "concurrent connections; as `gateway.limits.connections`" },
  },
  headBytesMax: {
    key: "head",
    unit: "bytes",
    default: 32 * KiB,
    min: KiB,
    max: MiB,
    doc: "start line and headers, and a trailer section; beyond it 431, for a response 502",
    host: {},
  },
  headerCountMax: {
    key: "headers",
    unit: "count",
    default: 100,
    min: 8,
    max: 1000,
    doc: "number of headers; beyond it 431, for a response 502",
    host: {},
  },
  bodyBytesMax: {
    key: "body",
    unit: "bytes",
    default: GiB,
    min: 1,
    max: 1024 * GiB,
    doc: "request body, decoded; beyond it 413",
    host: {},
  },
  headArrivalMs: {
    key: "head_time",
    unit: "ms",
    default: 10 * second,
    min: 100,
    max: 10 * minute,
    doc: "from the first byte of a head to its last; then 408",
    host: {},
  },
  firstRequestMs: {
    key: "first_request",
    unit: "ms",
    default: 10 * second,
    min: 100,
    max: 10 * minute,
    doc: "from accepting a connection to the first byte of its first request, a TLS handshake included",
  },
  idleMs: {
    key: "idle",
    unit: "ms",
    default: 75 * second,
    min: 100,
    max: hour,
    doc: "a kept-alive connection without a request",
    host: {},
  },
  connectMs: {
    key: "connect",
    unit: "ms",
    default: second,
    min: 10,
    max: minute,
    doc: "connecting to a host",
    host: { doc: "connecting to the application" },
  },
  firstByteMs: {
    ...{ key: "first_byte", unit: "ms", default: minute, min: 100, max: 24 * hour },
    doc: "from the request's last byte to the response's first; then 504, and the request is not resent; see `service.first_byte`",
    host: {
      default: 0,
      min: 0,
      doc: "from the request's last byte to the response's first; 0: as long as the gateway waits, which has limits per service and path",
    },
  },
  connectionsPerAddressMax: {
    key: "connections_per_address",
    unit: "count",
    default: 256,
    min: 1,
    max: 1_000_000,
    doc: "concurrent client connections from one address, or from one IPv6 network of 64 bits; at the bound the one that is idle longest is closed; `trusted_proxies` and `proxy_protocol_from` are exempt",
  },
  targetBytesMax: {
    key: "target",
    unit: "bytes",
    default: 8 * KiB,
    min: 64,
    max: MiB,
    doc: "request target; beyond it 414",
  },
  methodBytesMax: { key: "method", unit: "bytes", default: 32, min: 8, max: KiB, doc: "method name; beyond it 501" },
  chunkExtensionBytesMax: {
    key: "chunk_extensions",
    unit: "bytes",
    default: 256,
    min: 0,
    max: 64 * KiB,
    doc: "extensions of one chunk; 16 times that for all of a body",
  },
  interimResponsesMax: {
    key: "interim_responses",
    unit: "count",
    default: 32,
    min: 0,
    max: 1000,
    doc: "1xx responses before a final one; beyond it 502",
  },
  discardBytesMax: {
    key: "discard",
    unit: "bytes",
    default: 64 * KiB,
    min: 0,
    max: GiB,
    doc: "rest of a body that is read and discarded to keep a connection usable",
  },
  readAheadBytesMax: {
    key: "read_ahead",
    unit: "bytes",
    default: 64 * KiB,
    min: KiB,
    max: 64 * MiB,
    doc: "pipelined requests read ahead while one is answered",
  },
  writeBufferBytesMax: {
    key: "write_buffer",
    unit: "bytes",
    default: 256 * KiB,
    min: 16 * KiB,
    max: GiB,
    doc: "bytes that wait for a slow peer before reading from the other side stops",
  },
  keepBodyBytesMax: {
    key: "replay_body",
    unit: "bytes",
    default: 256 * KiB,
    min: 0,
    max: GiB,
    doc: "body bytes of one request that are kept in memory for resending it; beyond it see `gateway.replay.spool`",
  },
  /** [gateway.hold] `bytes` decides. */
  keepBodyTotalBytesMax: {
    unit: "bytes",
    default: 64 * MiB,
    min: 0,
    max: 64 * GiB,
    doc: "the same for all requests of one server together",
  },
  bodyBytesPerSecondMin: {
    key: "body_rate",
    unit: "bytes",
    default: 240,
    min: 0,
    max: GiB,
    doc: "slowest accepted arrival of a request body, in bytes per second; below it 408; `0B`: no limit",
  },
  bodyRateWindowMs: {
    key: "body_rate_window",
    unit: "ms",
    default: 10 * second,
    min: 100,
    max: hour,
    doc: "window over which that rate is measured; only time spent waiting for the client counts",
  },
  writeStallMs: {
    key: "write_stall",
    unit: "ms",
    default: minute,
    min: 100,
    max: 24 * hour,
    doc: "a client that reads nothing of its response for this long is disconnected",
  },
  /** Keeps a reset from destroying the last response (RFC 9112, 9.6). */
  lingerMs: {
    key: "linger",
    unit: "ms",
    default: 2 * second,
    min: 10,
    max: minute,
    doc: "how long a closing connection still reads",
  },
  responseIdleMs: {
    key: "response_idle",
    unit: "ms",
    default: 10 * minute,
    min: 0,
    max: 24 * hour,
    doc: "between two pieces of a response; `0s`: no limit",
  },
  responseMs: {
    key: "response",
    unit: "ms",
    default: 0,
    min: 0,
    max: 24 * hour,
    doc: "from the request to the end of the response; `0s`: no limit",
  },
  tunnelIdleMs: {
    key: "tunnel_idle",
    unit: "ms",
    default: hour,
    min: 0,
    max: 30 * 24 * hour,
    doc: "a tunnel (WebSocket) without a byte; `0s`: no limit",
  },
  upstreamConnectionsMax: {
    key: "upstream_connections",
    unit: "count",
    default: 1024,
    min: 1,
    max: 60_000,
    doc: "connections to one host, without tunnels; beyond it requests wait for one",
  },
  upstreamWaitingMax: {
    key: "upstream_waiting",
    unit: "count",
    default: 10_000,
    min: 0,
    max: 1_000_000,
    doc: "requests that wait for such a connection",
  },
  upstreamIdleMs: {
    key: "upstream_idle",
    unit: "ms",
    default: 4 * second,
    min: 1,
    max: hour,
    doc: "how long an unused connection to a host is kept; if shorter than the host's own `idle`, the host never closes first",
  },
  upstreamFreshMs: {
    key: "upstream_fresh",
    unit: "ms",
    default: second,
    min: 0,
    max: hour,
    doc: "a connection unused for longer serves idempotent requests only: they can be resent if it breaks",
  },
} as const satisfies Record<string, LimitRow>;

type Table = typeof limitTable;
type NameOf<Shape> = { [Name in keyof Table]: Table[Name] extends Shape ? Name : never }[keyof Table];
export type GatewayLimitName = NameOf<{ key: string }>;
export type HostLimitName = NameOf<{ host: object }>;
export type HttpLimits = { readonly [Name in keyof Table]: number };
export type GatewayLimits = Pick<HttpLimits, GatewayLimitName>;
export type HostLimits = Pick<HttpLimits, HostLimitName>;

export const defaultHttpLimits = Object.fromEntries(
  Object.entries(limitTable).map(([name, row]) => [name, row.default]),
) as HttpLimits;

/** Returns the defaults with some replaced. Throws unless every value is a finite number of at least 0. */
export function httpLimits(changes: Partial<HttpLimits> = {}): HttpLimits {
  for (const [name, value] of Object.entries(changes)) {
    if (!(name in defaultHttpLimits))
      throw new RangeError(`unknown limit ${name}; known: ${Object.keys(defaultHttpLimits).join(", ")}`);
    if (!Number.isFinite(value) || value < 0)
      throw new RangeError(`limit ${name} is ${String(value)}; a finite number of at least 0 is accepted`);
  }
  return { ...defaultHttpLimits, ...changes };
}
