/**
 * The resolved configuration: every value in one unit that its name states, every path absolute, every address parsed.
 * The rest of the program sees only these types, never the file.
 *
 * The keys of the file and their defaults are in schema.ts and in docs/OPERATIONS.md. Every value that the program
 * needs is present: a missing one has become its default, or a reported problem.
 */
import type { HistoryRule } from "../core/checkpoint-history.ts";
import type { OutcomeLimits } from "../core/request-outcome.ts";
import type { DrillKind } from "../core/failover/drill.ts";
import type { DueTime } from "../core/due-time.ts";
import type { MessageFormat, NotificationFilter } from "../core/notify/notification.ts";
import type { SmtpReceiver } from "./smtp-receiver.ts";
import type { S3Settings } from "../core/s3-place.ts";
import type { GatewayLimits, HostLimits } from "../http/limits.ts";
import type { AcmeConfig } from "./acme-config.ts";
import type { FilesConfig } from "./files-config.ts";
import type { HooksConfig } from "./hooks-config.ts";
import type { ListenerProtocols } from "./further-listener.ts";
import type { RestoreTestConfig } from "./restore-test-config.ts";
import type { VaultCopyConfig } from "./vault-copy.ts";

/** To listen on. `host`: an address (`0.0.0.0`, `::1`) or `localhost`, without brackets; port 0: the system chooses. */
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
  /** Where the files come from; undefined: an operator has them. */
  readonly acme?: AcmeConfig | undefined;
  /** Certificates for other server names; `*.` and a domain covers one label. */
  readonly names: readonly (CertificateFiles & { readonly serverName: string })[];
}

export type AccessLogTarget =
  | { readonly kind: "off" }
  | { readonly kind: "stderr" }
  | { readonly kind: "file"; readonly path: string };

/** How the gateway's listener treats its clients, apart from its limits. */
export interface DataPlaneConfig extends ListenerProtocols {
  /** undefined: plain HTTP. */
  readonly tls?: TlsConfig | undefined;
  /** Addresses and ranges whose connections begin with a PROXY protocol header. */
  readonly proxyProtocolFrom: readonly string[];
  /** Addresses and ranges whose X-Forwarded and Forwarded fields are trusted. */
  readonly trustedProxies: readonly string[];
  /** What happens to fields of a request with an underscore in their name. */
  readonly underscoreFields: "drop" | "keep";
  readonly traceparent: "pass" | "make";
  readonly accessLog: { readonly target: AccessLogTarget; readonly format: "json" | "combined" };
  /** Released requests in flight at a time while others of the same hold still wait. */
  readonly releaseConcurrency: number;
}

export interface ProbeConfig {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failed probes in a row that make a host down. */
  readonly fall: number;
  /** Good probes in a row that make it up again. */
  readonly rise: number;
}

/** Bounds on the requests held while a service has no primary, per service. */
export interface HoldConfig {
  readonly requestsMax: number;
  readonly bytesMax: number;
  readonly timeMs: number;
}

/** One host of a service in the gateway's file. undefined: the value in the host's own status applies. */
export interface ServiceHostConfig {
  readonly id: string;
  readonly controlUrl: string;
  readonly priority: number | undefined;
  readonly nofailover: boolean | undefined;
}

/** A write as a client makes it, and where it is read back. `{token}` stands for a value that is new each time. */
export interface DrillProbeConfig {
  readonly url: string;
  readonly method: "PUT" | "POST";
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The answer has the token. */
  readonly read: string;
}

/** A drill that the gateways run by themselves. */
export interface PlannedDrill {
  readonly kind: DrillKind;
  readonly at: DueTime;
  /** How long a hang or a partition lasts. */
  readonly forMs: number;
}

export interface ServiceConfig {
  readonly name: string;
  /** Which requests belong to this service. undefined: any. Host names are lower case, without a port. */
  readonly match: { readonly host?: string | undefined; readonly path?: string | undefined };
  readonly hosts: readonly ServiceHostConfig[];
  /** Whether a failed primary becomes a candidate again by itself, or only after an operator added it again. */
  readonly rejoin: "auto" | "manual";
  /** How long clients may wait in a drill that counts as passed; undefined: any time. */
  readonly objectiveMs?: number | undefined;
  /** How a drill shows that no write is lost; undefined: it does not. */
  readonly probe?: DrillProbeConfig | undefined;
  readonly drill?: PlannedDrill | undefined;
  /** The page of requests that are refused for maintenance, or because there is no primary. undefined: none is set. */
  readonly maintenance?: { readonly html?: string | undefined; readonly retryAfterMs: number } | undefined;
  /** First-byte limits that replace `limits.firstByteMs`, by path prefix. */
  readonly firstByte: readonly { readonly path: string; readonly timeMs: number }[];
  /** A POST or PATCH with `Idempotency-Key` is executed once, however often it is sent. Left out: no. */
  readonly isKeyed?: boolean | undefined;
  /** Left out: as the gateway's. */
  readonly replayWrites?: "named" | "never" | undefined;
}

/** Absolute paths of PEM files. */
export interface ClusterTlsConfig extends CertificateFiles {
  /** One authority, or several while it is replaced. */
  readonly caPath: string;
}

/** Where the cluster's secret comes from. Paths are absolute. */
export type SecretSource =
  /** Read again when it changes; it may have the former secret besides. */
  | { readonly kind: "file"; readonly path: string }
  /** `cluster.secret` in the configuration itself. */
  | { readonly kind: "configuration"; readonly path: string }
  | { readonly kind: "environment" };

/** Who belongs to the cluster, besides its secret. */
export interface ClusterConfig {
  /** Processes of two clusters with the same secret do not take each other's calls. */
  readonly name: string;
  /** Whether processes of a version before the authenticated channel may call, with the secret in clear text. */
  readonly acceptBearer: boolean;
  /** Certificates for connections between processes. undefined: they are in clear text. */
  readonly tls?: ClusterTlsConfig | undefined;
  /** undefined: it is given by who embeds this program. */
  readonly secretFrom?: SecretSource | undefined;
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
  readonly cluster: ClusterConfig;
  /** Admin addresses of other gateways to join; they supply the remaining ones. */
  readonly peers: readonly string[];
  readonly probe: ProbeConfig;
  readonly hold: HoldConfig;
  /** How many times in all a request may be resent after it was sent and lost. */
  readonly replayAgainMax: number;
  /** Whether a lost request that is not idempotent is resent by its name (core/request-names.ts). */
  readonly replayWrites: "named" | "never";
  /** Bodies beyond `limits.keepBodyBytesMax` in files (http/spool/body-spool.ts); 0: none. The folder is absolute. */
  readonly replaySpool: { readonly bytesMax: number; readonly folder: string };
  /** Answers with a known length up to this leave whole (http/upstream/whole-answers.ts); 0: none. */
  readonly answerWholeBytesMax: number;
  /** How to treat a client that has closed its sending side: as gone, or as still reading. */
  readonly clientHalfClose: "gone" | "serve";
  /** Time for requests in flight to finish when the gateway is told to stop. */
  readonly drainTimeoutMs: number;
  readonly limits: GatewayLimits;
  /** Processes that serve clients; 1: this process. */
  readonly workers: number;
  readonly dataPlane: DataPlaneConfig;
  readonly services: readonly ServiceConfig[];
  /** Who is told what happens; undefined: no one. */
  readonly notify?: readonly NotifyTarget[] | undefined;
  /** Where spans go; undefined: nowhere. */
  readonly traces?: TracesConfig | undefined;
}

/** A receiver of spans by OTLP/HTTP (`[gateway.traces]`). */
export interface TracesConfig {
  readonly endpoint: string;
  /** Names in lower case; values may be secrets. */
  readonly headers: Readonly<Record<string, string>>;
  /** The share of clients' traces whose requests are told, from 0 to 1. Failovers always are. */
  readonly sample: number;
  /** For one attempt. */
  readonly timeoutMs: number;
}

/** Who is told, what, and how (`[[notify]]`). */
export interface NotifyTarget extends NotificationFilter {
  readonly name: string;
  /** For one attempt. */
  readonly timeoutMs: number;
  readonly to:
    | {
        readonly kind: "http";
        readonly format: MessageFormat;
        readonly url: string;
        /** Signs each request; undefined: they are not signed. */
        readonly secret: string | undefined;
        readonly bearer: string | undefined;
        readonly routingKey: string | undefined;
        readonly topic: string | undefined;
      }
    | {
        readonly kind: "command";
        readonly command: readonly [program: string, ...args: string[]];
        /** Where it runs. */
        readonly folder: string;
      }
    | SmtpReceiver;
}

/** `async` may acknowledge a write up to `lossMaxMs` before it is in the vault: at most that much can be lost. */
export type Durability = { readonly kind: "strict" } | { readonly kind: "async"; readonly lossMaxMs: number };

/** `command`: a program that prints the key; `folder`: where it runs. */
export type VaultKeySource =
  | { readonly kind: "key"; readonly key: string }
  | {
      readonly kind: "command";
      readonly command: readonly [program: string, ...args: string[]];
      readonly folder: string;
    };

export type StopSignal = "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGHUP" | "SIGKILL";

/** How the application is checked once it has been ready (src/core/host/liveness.ts). */
export interface ApplicationHealthConfig {
  /** Healthy if this path answers 2xx or 3xx; undefined: if the port accepts a connection. */
  readonly path: string | undefined;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Stuck if no check was answered and nothing made progress for this long; undefined: never stuck. */
  readonly patienceMs: number | undefined;
}

/** Where the application's output goes. */
export type ApplicationLogConfig =
  /** The host's own log, each line with a prefix. */
  { readonly kind: "prefixed" } | { readonly kind: "journald" } | { readonly kind: "file"; readonly path: string };

export interface ApplicationConfig {
  /** Program and arguments; no shell. At least one. */
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** Added to the host's environment without what is the host's alone; `PORT` and `STEAD_DATA` are set by the host. */
  readonly env: Readonly<Record<string, string>>;
  /** Ready if this path answers 2xx or 3xx; undefined: if the port accepts a connection. */
  readonly readyPath: string | undefined;
  readonly readyTimeoutMs: number;
  readonly health: ApplicationHealthConfig;
  /** undefined: a free port at each start. */
  readonly port: number | undefined;
  readonly stopSignal: StopSignal;
  /** Program and arguments that end what signals do not reach; undefined: none. */
  readonly stopCommand: readonly string[] | undefined;
  /** After this the process group is killed. */
  readonly stopTimeoutMs: number;
  /** Restarts allowed within the window; at the next one the primary vacates. */
  readonly restartsMax: number;
  readonly restartWindowMs: number;
  readonly log: ApplicationLogConfig;
}

/** The application runs as another user than the host. */
export interface ApplicationUserConfig {
  readonly user: string;
  /** undefined: the user's own. */
  readonly group: string | undefined;
  /** Absolute paths of files with secrets of the cluster, which that user must not read. */
  readonly privateFiles: readonly string[];
}

export interface CheckpointConfig {
  readonly intervalMs: number;
  readonly journalBytes: number;
  /** A checkpoint is due if a restore is estimated to take longer. */
  readonly restoreBudgetMs: number;
  /** Least time between two checkpoints that the application asks for. */
  readonly askedMs: number;
  /** Checkpoints always kept, whatever their age. */
  readonly keepMin: number;
  /** How far back point-in-time restore reaches. */
  readonly windowMs: number;
  /** Checkpoints that stay beyond it; none: no rule. */
  readonly history: readonly HistoryRule[];
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
  /** Databases beyond this number are not captured; from 80 % on there is a warning. */
  readonly databasesMax: number;
  /** Files beside the databases that fail over with them; undefined: none. */
  readonly files?: FilesConfig | undefined;
  /**
   * What happens if a database cannot be captured: responses are held for the patience (`hold`), or the term ends at
   * once.
   */
  readonly uncaptured: "hold" | "stop";
  readonly uncapturedPatienceMs: number;
  /** The host's own state between runs; beside the data folder, never inside it. */
  readonly stateFolder: string;
  /** Dated folders with data that was committed here but never acknowledged. */
  readonly setAsideFolder: string;
  /** How many of those folders, and how many bytes of them, are kept, newest first. */
  readonly setAsideKeep: number;
  readonly setAsideBytesMax: number;
  /** If a small write to one of this host's disks takes longer, the host counts as impaired. */
  readonly diskStallMs: number;
  /** `file:///absolute/folder`, `stead://host:port` of a vault server, or `s3://bucket/prefix`. */
  readonly vaultUrl: string;
  /** What opens the vault's keys; undefined: the cluster's secret. */
  readonly vaultKey?: VaultKeySource | undefined;
  /** Where the bucket is; undefined: the vault is in none. */
  readonly vaultS3?: S3Settings | undefined;
  /** Where a primary copies the vault to; left out: nowhere. */
  readonly vaultCopies?: readonly VaultCopyConfig[];
  /** A vault operation that takes longer counts as ambiguous (puts) or failed (others). */
  readonly vaultTimeoutMs: number;
  /** May use its own local databases, or none, as the first content of an empty vault. */
  readonly bootstrap: boolean;
  /** How they are checked first: without or with a comparison of indexes. */
  readonly bootstrapCheck: "quick" | "full";
  readonly durability: Durability;
  readonly leaseMs: number;
  /** Added to the previous lease before a new primary serves: how far two clocks may drift apart over one lease. */
  readonly driftMarginMs: number;
  /** How often a secondary looks for new records. */
  readonly pollMs: number;
  /** Time for requests in flight to finish in a switchover. */
  readonly drainTimeoutMs: number;
  /** The part of it that streams and tunnels get. */
  readonly drainStreamsMs: number;
  readonly outcomes: OutcomeLimits;
  /** Higher is preferred; 0 is the default. */
  readonly priority: number;
  readonly nofailover: boolean;
  /** True: a supervisor starts this process again when it ends. */
  readonly isRestarted: boolean;
  readonly secret: string;
  readonly cluster: ClusterConfig;
  readonly hooks?: HooksConfig | undefined;
  /** undefined: none is made. */
  readonly restoreTest?: RestoreTestConfig | undefined;
  readonly application: ApplicationConfig;
  /** undefined: the application runs as the host's own user. */
  readonly applicationUser?: ApplicationUserConfig | undefined;
  readonly checkpoint: CheckpointConfig;
  readonly limits: HostLimits;
}

/** A whole file. A part that the file does not have is undefined. */
/** `stead vault serve`. */
export interface VaultServerConfig {
  /** Absolute. */
  readonly folder: string;
  readonly listen: Address;
  readonly secret: string;
  readonly secretFrom?: SecretSource | undefined;
}

export interface Config {
  readonly file: string;
  readonly cluster: ClusterConfig;
  /** undefined: there is none. */
  readonly secret: string | undefined;
  /** Admin address that commands call; undefined: that of [gateway], or none. */
  readonly gatewayUrl: string | undefined;
  readonly gateway: GatewayConfig | undefined;
  readonly host: HostConfig | undefined;
  readonly vault: VaultServerConfig | undefined;
  readonly services: readonly ServiceConfig[];
  /** Valid settings that deserve attention, for example a secret that others can read. */
  readonly warnings: readonly Problem[];
}

/** A problem in a configuration, in the form of a compiler message. Lines and columns start at 1. */
export interface Problem {
  readonly file: string;
  /** undefined: about the file as a whole. */
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** Dotted, with array positions: `service[0].host[2].control`; empty for the file as a whole. */
  readonly key: string;
  /** What was found, quoted from the file unless it is secret. */
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

export type ConfigResult =
  | { readonly kind: "ok"; readonly config: Config }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] };
