/**
 * Every bound of the data plane, with its unit in its name. A value of 0 for a time or a rate means "no such limit".
 *
 * Sizes are bytes, times are milliseconds. The defaults suit a server on the open internet in front of ordinary
 * applications; a setting replaces exactly one of them (`httpLimits({ idleMs: 5_000 })`).
 */
export interface HttpLimits {
  /** Request or response head (start line and fields, with line ends), and a trailer section. Beyond it: 431 / 502. */
  readonly headBytesMax: number;
  /** Fields in one head or trailer section. Beyond it: 431 / 502. */
  readonly headerCountMax: number;
  /** Request target. Beyond it: 414. */
  readonly targetBytesMax: number;
  /** Method name. Beyond it: 501. */
  readonly methodBytesMax: number;
  /** Body of a request, decoded. Beyond it: 413. */
  readonly bodyBytesMax: number;
  /** Extensions of one chunk, and of all chunks of one body together times 16. Beyond it: 400 / 502. */
  readonly chunkExtensionBytesMax: number;
  /** Interim (1xx) responses before one final response. Beyond it: 502. */
  readonly interimResponsesMax: number;
  /** Rest of a request body that is read and thrown away to keep a connection usable. Beyond it: the connection closes. */
  readonly discardBytesMax: number;
  /** Bytes of pipelined requests that are read ahead while one is being answered; reading stops there. */
  readonly readAheadBytesMax: number;
  /** Bytes that wait to be taken by a slow peer before reading from the other side stops. */
  readonly writeBufferBytesMax: number;
  /** Body bytes of one request kept for a replay. Beyond it the request can no longer be replayed. */
  readonly keepBodyBytesMax: number;
  /** The same for all requests of one server together. */
  readonly keepBodyTotalBytesMax: number;

  /** A client connection without a request. Then it is closed silently. */
  readonly idleMs: number;
  /** From the first byte of a head to its last. Then 408. */
  readonly headArrivalMs: number;
  /** Slowest allowed arrival of a request body, measured over `bodyRateWindowMs`. Below it: 408. */
  readonly bodyBytesPerSecondMin: number;
  /** Window over which `bodyBytesPerSecondMin` is measured; only time spent waiting for the client counts. */
  readonly bodyRateWindowMs: number;
  /** A client that takes nothing of a waiting response. Then its connection is destroyed. */
  readonly writeStallMs: number;
  /** How long a closing connection still reads, so that the last response is not destroyed by a reset (RFC 9112, 9.6). */
  readonly lingerMs: number;

  /** Connecting to an upstream. */
  readonly connectMs: number;
  /** From the request (as far as it was sent last) to the first byte of the final response. */
  readonly firstByteMs: number;
  /** Between two pieces of a response. */
  readonly responseIdleMs: number;
  /** From the request to the end of the response. */
  readonly responseMs: number;
  /** Tunnel (after 101) without a byte in either direction. */
  readonly tunnelIdleMs: number;
  /** Unused upstream connection. Keep it below the upstream's own idle limit: then it is never the one that closes first. */
  readonly upstreamIdleMs: number;
  /** Unused for longer than this, a connection serves only idempotent requests: they can be sent again when it breaks. */
  readonly upstreamFreshMs: number;
  /** Connections to one upstream, without tunnels. Beyond it requests wait for one. */
  readonly upstreamConnectionsMax: number;
  /** Requests that wait for a connection to one upstream. Beyond it: not sent. */
  readonly upstreamWaitingMax: number;

  /** Client connections in all. Beyond it: closed at once. */
  readonly connectionsMax: number;
  /** Client connections of one address. Beyond it: closed at once. */
  readonly connectionsPerAddressMax: number;
}

export const defaultHttpLimits: HttpLimits = {
  headBytesMax: 32 * 1024,
  headerCountMax: 128,
  targetBytesMax: 8 * 1024,
  methodBytesMax: 32,
  bodyBytesMax: 1024 ** 3,
  chunkExtensionBytesMax: 256,
  interimResponsesMax: 32,
  discardBytesMax: 64 * 1024,
  readAheadBytesMax: 64 * 1024,
  writeBufferBytesMax: 256 * 1024,
  keepBodyBytesMax: 256 * 1024,
  keepBodyTotalBytesMax: 64 * 1024 * 1024,

  idleMs: 75_000,
  headArrivalMs: 10_000,
  bodyBytesPerSecondMin: 240,
  bodyRateWindowMs: 10_000,
  writeStallMs: 60_000,
  lingerMs: 2_000,

  connectMs: 1_000,
  firstByteMs: 120_000,
  responseIdleMs: 600_000,
  responseMs: 0,
  tunnelIdleMs: 3_600_000,
  upstreamIdleMs: 4_000,
  upstreamFreshMs: 1_000,
  upstreamConnectionsMax: 1_024,
  upstreamWaitingMax: 10_000,

  connectionsMax: 20_000,
  connectionsPerAddressMax: 20_000,
};

/** The defaults with some replaced. Every value must be a finite number, not negative; anything else throws. */
export function httpLimits(changes: Partial<HttpLimits> = {}): HttpLimits {
  for (const [name, value] of Object.entries(changes)) {
    if (!(name in defaultHttpLimits)) throw new RangeError(`unknown limit ${name}; known: ${Object.keys(defaultHttpLimits).join(", ")}`);
    if (!Number.isFinite(value) || value < 0) throw new RangeError(`limit ${name} is ${String(value)}; a finite number of at least 0 is accepted`);
  }
  return { ...defaultHttpLimits, ...changes };
}
