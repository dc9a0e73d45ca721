/**
 * What a configuration file means once it is read: every value resolved, in one unit that its name states, every path
 * absolute, every address taken apart. The rest of the program sees only these types, never the file.
 *
 * The keys of the file and their defaults are in schema.ts and in docs/OPERATIONS.md. Nothing here is optional that the
 * program needs: a missing value has become its default, or a problem that was reported.
 */
import type { GatewayLimits, HostLimits } from "../http/limits.ts";

/**
 * Where to listen. `host` is an address (`0.0.0.0`, `::1`) or `localhost`, without brackets; port 0 lets the system
 * choose.
 */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Absolute paths of PEM files. */
export interface CertificateFiles {
  readonly certPath: string;
  readonly keyPath: string;
}

export interface TlsConfig extends CertificateFiles {
  /** Certificates for other server names; `*.` and a domain covers one label. */
  readonly names: readonly (CertificateFiles & { readonly serverName: string })[];
}

export type AccessLogTarget =
  | { readonly kind: "off" }
  | { readonly kind: "stderr" }
  | { readonly kind: "file"; readonly path: string };

/** How the gateway's listener treats its clients, beyond its limits. */
export interface DataPlaneConfig {
  /** null: plain HTTP. */
  readonly tls: TlsConfig | null;
  /** Addresses and ranges whose connections begin with a PROXY protocol header. */
  readonly proxyProtocolFrom: readonly string[];
  /** Addresses and ranges whose X-Forwarded and Forwarded fields are believed. */
  readonly trustedProxies: readonly string[];
  readonly traceparent: "pass" | "make";
  readonly accessLog: { readonly target: AccessLogTarget; readonly format: "json" | "combined" };
  /** Requests on their way at a time while others of the same hold still wait. */
  readonly releaseConcurrency: number;
}

export interface ProbeConfig {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failed probes in a row that make a host down. */
  readonly fall: number;
  /** Good probes in a row that make it well again. */
  readonly rise: number;
}

/** Requests that wait while a service has no primary, per service. */
export interface HoldConfig {
  readonly requestsMax: number;
  readonly bytesMax: number;
  readonly timeMs: number;
}

/** One host of a service as the gateway's file names it. null: the host's own word in its status counts. */
export interface ServiceHostConfig {
  readonly id: string;
  readonly controlUrl: string;
  readonly priority: number | null;
  readonly nofailover: boolean | null;
}

export interface ServiceConfig {
  readonly name: string;
  /** Which requests are this service's. null: any. Host names are lower case, without a port. */
  readonly match: { readonly host: string | null; readonly path: string | null };
  readonly hosts: readonly ServiceHostConfig[];
  /** What becomes of a primary that failed: a candidate again by itself, or only after an operator added it again. */
  readonly rejoin: "auto" | "manual";
  /** Other times than `limits.first_byte`, by the beginning of the path. */
  readonly firstByte: readonly { readonly path: string; readonly timeMs: number }[];
}

export interface GatewayConfig {
  readonly id: string;
  readonly listen: Address;
  readonly adminListen: Address;
  /** How the CLI and peers reach the admin listener: `http://address:port`, no slash at the end. */
  readonly adminUrl: string;
  /** Absolute path of the libSQL file. */
  readonly databasePath: string;
  readonly secret: string;
  /** Admin addresses of other gateways to join; the others are learnt from them. */
  readonly peers: readonly string[];
  readonly probe: ProbeConfig;
  readonly hold: HoldConfig;
  /** How many times in all a request may be resent after it was sent and lost. */
  readonly replayAgainMax: number;
  /** A client that has ended its side: gone, or one that still reads. */
  readonly clientHalfClose: "gone" | "serve";
  /** How long requests in flight may take to finish when the gateway is told to stop. */
  readonly drainTimeoutMs: number;
  readonly limits: GatewayLimits;
  /** Processes that serve clients; 1: this one does. */
  readonly workers: number;
  readonly dataPlane: DataPlaneConfig;
  readonly services: readonly ServiceConfig[];
}

/** `async` may acknowledge a write up to `lossMaxMs` before it is in the vault: so much can be lost, and no more. */
export type Durability = { readonly kind: "strict" } | { readonly kind: "async"; readonly lossMaxMs: number };

export type StopSignal = "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGHUP" | "SIGKILL";

/** How it is seen whether the application is well once it has been ready (src/core/host/liveness.ts). */
export interface ApplicationHealthConfig {
  /** Well when this answers 2xx or 3xx; null: when the port accepts a connection. */
  readonly path: string | null;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Stuck when so long no check was answered and nothing moved; null: it is never taken for stuck. */
  readonly patienceMs: number | null;
}

export interface ApplicationConfig {
  /** Program and arguments; no shell. At least one. */
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** Added to the host's own environment; `PORT` and `STEAD_DATA` are set by the host. */
  readonly env: Readonly<Record<string, string>>;
  /** Ready when this path answers 2xx or 3xx; null: when the port accepts a connection. */
  readonly readyPath: string | null;
  readonly readyTimeoutMs: number;
  readonly health: ApplicationHealthConfig;
  /** null: a free one at each start. */
  readonly port: number | null;
  readonly stopSignal: StopSignal;
  /** Program and arguments that end what signals do not reach; null: there is no such thing. */
  readonly stopCommand: readonly string[] | null;
  /** After this the process group is killed. */
  readonly stopTimeoutMs: number;
  /** So many restarts within the window; one more, and the primary vacates. */
  readonly restartsMax: number;
  readonly restartWindowMs: number;
}

export interface CheckpointConfig {
  readonly intervalMs: number;
  readonly journalBytes: number;
  /** A checkpoint is due when a restore is estimated to take longer. */
  readonly restoreBudgetMs: number;
  /** Checkpoints that are always kept, whatever their age. */
  readonly keepMin: number;
  /** Point-in-time restore is possible for so long. */
  readonly windowMs: number;
}

export interface HostConfig {
  readonly id: string;
  readonly service: string;
  readonly controlListen: Address;
  /** How gateways reach the control API: `http://address:port`, no slash at the end. */
  readonly controlUrl: string;
  readonly dataListen: Address;
  /** How gateways reach the gate in front of the application. */
  readonly dataUrl: string;
  /** Absolute; the databases are below it, and only the application and the host write there. */
  readonly dataFolder: string;
  /** Relative to `dataFolder`: paths or globs (`*` within a segment, `**` across segments). */
  readonly databases: readonly string[];
  /** Patterns of the same kind: files that match one are not captured. */
  readonly databasesExcept: readonly string[];
  /** More are not captured; from 80 % on there is a warning. */
  readonly databasesMax: number;
  /** What a database that cannot be captured does: answers wait for the patience (`hold`), or the term ends at once. */
  readonly uncaptured: "hold" | "stop";
  readonly uncapturedPatienceMs: number;
  /** The host's own notes between runs; beside the data folder, never inside it. */
  readonly stateFolder: string;
  /** Dated folders with what was committed here but never acknowledged. */
  readonly setAsideFolder: string;
  /** Of those folders the newest are kept: so many, and so many bytes of them. */
  readonly setAsideKeep: number;
  readonly setAsideBytesMax: number;
  /** A disk of this host that does not answer a small write for so long keeps it from being a good primary. */
  readonly diskStallMs: number;
  /** `file:///absolute/folder` or `s3://bucket/prefix`. */
  readonly vaultUrl: string;
  /** A single vault operation that takes longer counts as ambiguous (puts) or failed (others). */
  readonly vaultTimeoutMs: number;
  /** May take its own local databases, or none, as the first content of an empty vault. */
  readonly bootstrap: boolean;
  /** How they are checked before that: without or with a comparison of indexes. */
  readonly bootstrapCheck: "quick" | "full";
  readonly durability: Durability;
  readonly leaseMs: number;
  /** Added to the old lease before a new primary serves: how far two clocks' rates may differ over one lease. */
  readonly driftMarginMs: number;
  /** How often a secondary looks for new records. */
  readonly pollMs: number;
  /** How long requests in flight may take to finish in a switchover. */
  readonly drainTimeoutMs: number;
  /** What streams and tunnels get of it. */
  readonly drainStreamsMs: number;
  /** Higher is preferred; 0 is the default. */
  readonly priority: number;
  readonly nofailover: boolean;
  readonly secret: string;
  readonly application: ApplicationConfig;
  readonly checkpoint: CheckpointConfig;
  readonly limits: HostLimits;
}

/** One file, whole. A part that the file does not have is null. */
export interface Config {
  readonly file: string;
  readonly gateway: GatewayConfig | null;
  readonly host: HostConfig | null;
  readonly services: readonly ServiceConfig[];
  /** What works but deserves a look, for example a secret that others can read. */
  readonly warnings: readonly Problem[];
}

/** Something wrong in a configuration, said like a compiler does. Lines and columns count from 1. */
export interface Problem {
  readonly file: string;
  /** null: about the file as a whole. */
  readonly line: number | null;
  readonly column: number | null;
  /** Dotted, with positions of arrays: `service[0].host[2].control`; empty for the file as a whole. */
  readonly key: string;
  /** What was found, in the file's own words where it is not secret. */
  readonly found: string;
  /** What is accepted. */
  readonly accepted: string;
  /** What to do about it. */
  readonly advice: string;
}

export type ConfigResult =
  | { readonly kind: "ok"; readonly config: Config }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] };
