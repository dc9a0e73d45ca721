/** The data plane's settings when the file says nothing, for tests that build a configuration without a file. */
import type { DataPlaneConfig } from "../../../src/config/types.ts";
import type { GatewayLimits } from "../../../src/http/limits.ts";

export const defaultGatewayLimits: GatewayLimits = {
  connectionsMax: 10_000,
  headBytesMax: 32_768,
  headerCountMax: 100,
  bodyBytesMax: 2 ** 30,
  headArrivalMs: 10_000,
  firstRequestMs: 10_000,
  idleMs: 75_000,
  connectMs: 1000,
  firstByteMs: 60_000,
  connectionsPerAddressMax: 256,
  targetBytesMax: 8192,
  methodBytesMax: 32,
  chunkExtensionBytesMax: 256,
  interimResponsesMax: 32,
  discardBytesMax: 65_536,
  readAheadBytesMax: 65_536,
  writeBufferBytesMax: 262_144,
  keepBodyBytesMax: 262_144,
  bodyBytesPerSecondMin: 240,
  bodyRateWindowMs: 10_000,
  writeStallMs: 60_000,
  lingerMs: 2000,
  responseIdleMs: 600_000,
  responseMs: 0,
  tunnelIdleMs: 3_600_000,
  upstreamConnectionsMax: 1024,
  upstreamWaitingMax: 10_000,
  upstreamIdleMs: 4000,
  upstreamFreshMs: 1000,
};

export const defaultDataPlane: DataPlaneConfig = {
  tls: undefined,
  http2: false,
  app: false,
  listeners: [],
  proxyProtocolFrom: [],
  trustedProxies: [],
  underscoreFields: "drop",
  traceparent: "pass",
  accessLog: { target: { kind: "off" }, format: "json" },
  releaseConcurrency: 64,
};
