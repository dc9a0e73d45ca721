/**
 * Resolves the keys of a file to the types that the program uses: makes paths absolute (relative ones start at the
 * folder of the file), derives addresses from other addresses, and fills in defaults that depend on other values.
 */
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { plainPrefix } from "../core/base-url.ts";
import { parseDueTime } from "../core/due-time.ts";
import { isS3Url } from "../core/s3-place.ts";
import { isVaultUrl } from "../core/vault-address.ts";
import { urlOf } from "./address.ts";
import { resolveFiles } from "./files.ts";
import { logTimes, resolveS3 } from "./bucket.ts";
import { gatewayLimits, hostLimits, resolveLimits } from "./limits.ts";
import type { KeyPath } from "./locate.ts";
import { type FileContent, workersMax } from "./schema.ts";
import { resolveRestoreTest } from "./restore-test.ts";
import { sourceOf } from "./secret.ts";
import type {
  ApplicationHealthConfig,
  ApplicationLogConfig,
  ApplicationUserConfig,
  ClusterConfig,
  DataPlaneConfig,
  GatewayConfig,
  HostConfig,
  SecretSource,
  ServiceConfig,
  TlsConfig,
  VaultServerConfig,
} from "./types.ts";
import { resolveVaultCopies } from "./vault-copies.ts";

type GatewayContent = NonNullable<FileContent["gateway"]>;
type ClusterContent = NonNullable<FileContent["cluster"]>;
type HostContent = NonNullable<FileContent["host"]>;

/** Share of the lease that is the default drift margin (R5). */
const driftMarginShare = 0.1;

/** `pages`: contents of the maintenance pages, by path in the file; `tokens`: of the probes, by service. */
export function resolveServices(
  services: FileContent["service"],
  pages: ReadonlyMap<string, string> = new Map(),
  tokens: ReadonlyMap<string, string> = new Map(),
): ServiceConfig[] {
  return services.map((service) => ({
    name: service.name,
    match: { host: service.match.host, path: service.match.path },
    hosts: service.host.map((host) => ({
      id: host.id,
      controlUrl: controlUrlOf(host),
      priority: host.priority,
      nofailover: host.nofailover,
    })),
    rejoin: service.rejoin,
    objectiveMs: service.objective.rto,
    probe: probeOf(service.objective.probe, tokens.get(service.name)),
    drill: plannedOf(service.drill),
    maintenance:
      service.maintenance.page === undefined
        ? undefined
        : { html: pages.get(service.maintenance.page), retryAfterMs: service.maintenance.retry_after },
    firstByte: service.first_byte.map(({ path, time }) => ({ path, timeMs: time })),
    ...(service.idempotency_key ? { isKeyed: true } : {}),
    ...(service.replay_writes === undefined ? {} : { replayWrites: service.replay_writes }),
  }));
}

function plannedOf(drill: FileContent["service"][number]["drill"]): ServiceConfig["drill"] {
  const at = drill === undefined ? undefined : parseDueTime(drill.at);
  return drill === undefined || at === undefined ? undefined : { kind: drill.kind, at, forMs: drill.for };
}

function probeOf(
  probe: FileContent["service"][number]["objective"]["probe"],
  token: string | undefined,
): ServiceConfig["probe"] {
  if (probe === undefined) return undefined;
  const { url, method, body, headers, read = url } = probe;
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return { url, method, body, headers: { ...headers, ...authorization }, read };
}

/**
 * A plain host's control address is its health check; src/gateway/service/plain-host.ts stands in for the control
 * API.
 */
export const controlUrlOf = ({ control, url, health }: FileContent["service"][number]["host"][number]): string =>
  control === "none" ? `${plainPrefix}${url ?? ""}${health ?? "/"}` : control;

export function resolveCluster(file: string, cluster: ClusterContent, isFromVariable: boolean): ClusterConfig {
  const { name, accept_bearer, tls } = cluster;
  const secretFrom = sourceOf(file, cluster, isFromVariable);
  if (tls === undefined) return { name, acceptBearer: accept_bearer, secretFrom };
  const path = (of: string): string => resolve(dirname(file), of);
  const paths = { caPath: path(tls.ca), certPath: path(tls.cert), keyPath: path(tls.key) };
  return { name, acceptBearer: accept_bearer, tls: paths, secretFrom };
}

export function resolveGateway(
  file: string,
  gateway: GatewayContent,
  services: readonly ServiceConfig[],
  secret: string,
  cluster: ClusterConfig,
): GatewayConfig {
  return {
    id: gateway.id,
    listen: gateway.listen,
    adminListen: gateway.admin,
    adminUrl: gateway.advertise_admin ?? urlOf(gateway.admin),
    databasePath: resolve(dirname(file), gateway.database),
    secret,
    cluster,
    peers: gateway.peers,
    probe: {
      intervalMs: gateway.probe.interval,
      timeoutMs: gateway.probe.timeout,
      fall: gateway.probe.fall,
      rise: gateway.probe.rise,
    },
    hold: { requestsMax: gateway.hold.requests, bytesMax: gateway.hold.bytes, timeMs: gateway.hold.time },
    replayAgainMax: gateway.replay.again,
    replayWrites: gateway.replay.writes,
    replaySpool: {
      bytesMax: gateway.replay.spool,
      folder: resolve(dirname(file), gateway.replay.spool_folder ?? `${gateway.database}.spool`),
    },
    answerWholeBytesMax: gateway.answer_whole,
    clientHalfClose: gateway.client_half_close,
    drainTimeoutMs: gateway.drain,
    limits: resolveLimits(gatewayLimits, gateway.limits),
    workers: gateway.workers === "auto" ? Math.min(availableParallelism(), workersMax) : gateway.workers,
    dataPlane: resolveDataPlane(file, gateway),
    services,
  };
}

export function resolveHost(file: string, host: HostContent, secret: string, cluster: ClusterConfig): HostConfig {
  const { dataFolder, stateFolder, setAsideFolder } = hostFolders(file, host);
  const { leaseMs, pollMs } = logTimes(host);
  return {
    id: host.id,
    service: host.service,
    controlListen: host.control,
    controlUrl: host.advertise_control ?? urlOf(host.control),
    dataListen: host.listen,
    dataUrl: host.advertise_data ?? urlOf(host.listen),
    dataFolder,
    databases: host.databases,
    databasesExcept: host.databases_except,
    databasesMax: host.databases_max,
    files: resolveFiles(host),
    uncaptured: host.uncaptured,
    uncapturedPatienceMs: host.uncaptured_patience,
    stateFolder,
    setAsideFolder,
    setAsideKeep: host.set_aside_keep,
    setAsideBytesMax: host.set_aside_bytes,
    diskStallMs: host.disk_stall,
    vaultUrl: vaultUrl(file, host.vault),
    vaultS3: resolveS3(file, host),
    vaultCopies: resolveVaultCopies(file, host, (to) => vaultUrl(file, to)),
    vaultTimeoutMs: host.vault_timeout,
    bootstrap: host.bootstrap,
    bootstrapCheck: host.bootstrap_check,
    durability:
      host.durability === "strict" ? { kind: "strict" } : { kind: "async", lossMaxMs: host.async_loss_max ?? 0 },
    leaseMs,
    driftMarginMs: host.drift_margin ?? Math.ceil(leaseMs * driftMarginShare),
    pollMs,
    drainTimeoutMs: host.drain,
    drainStreamsMs: host.drain_streams,
    outcomes: { keepMs: host.outcomes.keep, bodyBytesMax: host.outcomes.body },
    priority: host.priority,
    nofailover: host.nofailover,
    isRestarted: host.restarts ?? process.env["INVOCATION_ID"] !== undefined,
    secret,
    cluster,
    application: resolveApplication(file, host.application),
    hooks: resolveHooks(file, host.hooks),
    restoreTest: resolveRestoreTest(dirname(file), stateFolder, host.restore_test),
    checkpoint: {
      intervalMs: host.checkpoint.interval,
      journalBytes: host.checkpoint.journal,
      restoreBudgetMs: host.checkpoint.restore_budget,
      askedMs: host.checkpoint.asked,
      keepMin: host.checkpoint.keep,
      windowMs: host.checkpoint.window,
      history: host.checkpoint.history ?? [],
    },
    limits: resolveLimits(hostLimits, host.limits),
  };
}

/** Returns the folders of a host, absolute; also used to check that none is inside another. */
export function hostFolders(
  file: string,
  host: HostContent,
): Record<"dataFolder" | "stateFolder" | "setAsideFolder", string> {
  const from = dirname(file);
  const dataFolder = resolve(from, host.data);
  const stateFolder = host.state === undefined ? `${dataFolder}.stead` : resolve(from, host.state);
  const setAsideFolder =
    host.set_aside === undefined ? resolve(stateFolder, "set-aside") : resolve(from, host.set_aside);
  return { dataFolder, stateFolder, setAsideFolder };
}

/** Converts a folder's path or `file:` URL to a `file:` URL; a vault server and a bucket stay as they are. */
export function vaultUrl(file: string, vault: string): string {
  if (isVaultUrl(vault)) return vault;
  if (isS3Url(vault)) return vault.replace(/\/$/, "");
  return vault.startsWith("file:") ? vault : pathToFileURL(resolve(dirname(file), vault)).href;
}

export const resolveVaultServer = (
  file: string,
  { data, listen }: NonNullable<FileContent["vault"]>,
  secret: string,
  secretFrom: SecretSource | undefined,
): VaultServerConfig => ({ folder: resolve(dirname(file), data), listen, secret, secretFrom });

function resolveHooks(file: string, hooks: HostContent["hooks"]): HostConfig["hooks"] {
  if (hooks === undefined) return undefined;
  const { timeout, ...commands } = hooks;
  return { commands, cwd: dirname(file), timeoutMs: timeout };
}

function resolveApplication(file: string, application: HostContent["application"]): HostConfig["application"] {
  const [program, ...args] = application.command;
  if (program === undefined) throw new Error("a command without a program passed the schema");
  return {
    command: [program, ...args],
    cwd: resolve(dirname(file), application.cwd ?? "."),
    env: application.env,
    readyPath: application.ready.path,
    readyTimeoutMs: application.ready.timeout,
    health: resolveHealth(application),
    port: application.port,
    stopSignal: application.stop.signal,
    stopCommand: application.stop.command,
    stopTimeoutMs: application.stop.timeout,
    restartsMax: application.restarts.max,
    restartWindowMs: application.restarts.window,
    log: resolveLog(file, application.log),
  };
}

function resolveLog(file: string, log: string): ApplicationLogConfig {
  return log === "prefixed" || log === "journald" ? { kind: log } : { kind: "file", path: resolve(dirname(file), log) };
}

/** Returns undefined if the application runs as the host's own user. */
export function resolveApplicationUser(
  file: string,
  { cluster, host }: Partial<Pick<FileContent, "cluster" | "host">>,
  hasVariable: (path: KeyPath) => boolean,
): ApplicationUserConfig | undefined {
  const { user, group } = host?.application ?? {};
  if (user === undefined) return undefined;
  const { secret_file, tls } = cluster ?? {};
  const { vault_key_file, vault_s3, vault_copy = [] } = host ?? {};
  const isWritten = (value: string | undefined, path: KeyPath): boolean => value !== undefined && !hasVariable(path);
  const hasSecret =
    isWritten(cluster?.secret, ["cluster", "secret"]) || isWritten(host?.vault_key, ["host", "vault_key"]);
  const ofCopies = vault_copy.map(({ s3 }) => s3?.credentials_file);
  const ofVault = [vault_key_file, vault_s3?.credentials_file, ...ofCopies];
  const named = [hasSecret ? file : undefined, secret_file, tls?.key, ...ofVault];
  return {
    user,
    group,
    privateFiles: named.flatMap((name) => (name === undefined ? [] : [resolve(dirname(file), name)])),
  };
}

const healthDefaults = {
  intervalMs: 1_000,
  timeoutMs: 2_000,
  patienceMs: 10_000,
  patienceWithoutPathMs: 30_000,
} as const;
/** Minimum number of checks within a short patience. */
const checksPerPatience = 4;

/** Unset values follow from the patience: a patience of one second is useless with checks that take two. */
export function resolveHealth({ ready, health }: HostContent["application"]): ApplicationHealthConfig {
  const path = health.path ?? ready.path;
  const patienceMs =
    health.patience === "off"
      ? undefined
      : (health.patience ?? (path === undefined ? healthDefaults.patienceWithoutPathMs : healthDefaults.patienceMs));
  const most = patienceMs ?? Number.POSITIVE_INFINITY;
  return {
    path,
    intervalMs: health.interval ?? Math.min(healthDefaults.intervalMs, Math.floor(most / checksPerPatience)),
    timeoutMs: health.timeout ?? Math.min(healthDefaults.timeoutMs, most),
    patienceMs,
  };
}

/** Of the first listener with TLS: contradictions.ts has checked that there is one. */
function httpsPort({ listen, listener }: GatewayContent): number {
  return (listener.find(({ serve }) => serve === "tls")?.listen ?? listen).port;
}

/** schema.ts and data-plane.ts have checked that there are files, or an authority. */
function resolveTls(tls: NonNullable<GatewayContent["tls"]>, at: (path: string) => string): TlsConfig {
  const files = ({ cert = "", key = "" }: { cert?: string | undefined; key?: string | undefined }) => ({
    certPath: at(cert),
    keyPath: at(key),
  });
  const names = tls.certificate.map((entry) => ({ serverName: entry.server_name, ...files(entry) }));
  if (tls.acme === undefined) return { ...files(tls), names };
  const { directory, domains, email, challenge, folder, ca } = tls.acme;
  const path = at(join(folder, "certificate.pem"));
  return {
    ...{ certPath: path, keyPath: path, names },
    acme: { directory, domains, email, challenge, folder: at(folder), caPath: ca === undefined ? undefined : at(ca) },
  };
}

function resolveDataPlane(file: string, gateway: GatewayContent): DataPlaneConfig {
  const { tls } = gateway;
  const at = (path: string): string => resolve(dirname(file), path);
  const { to, format } = gateway.access_log;
  return {
    tls: tls === undefined ? undefined : resolveTls(tls, at),
    http2: tls?.http2 ?? false,
    app: gateway.app,
    listeners: gateway.listener.map((each) => ({
      address: each.listen,
      serve:
        each.serve === "redirect"
          ? { kind: each.serve, port: each.https_port ?? httpsPort(gateway) }
          : { kind: each.serve },
    })),
    proxyProtocolFrom: gateway.proxy_protocol_from,
    trustedProxies: gateway.trusted_proxies,
    underscoreFields: gateway.underscore_fields,
    traceparent: gateway.traceparent,
    accessLog: { target: to === "off" || to === "stderr" ? { kind: to } : { kind: "file", path: at(to) }, format },
    releaseConcurrency: gateway.hold.concurrency,
  };
}
