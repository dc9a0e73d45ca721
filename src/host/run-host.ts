/**
 * Runs a host with the real world behind its ports: the vault's store, SQLite capture, sockets, processes, the local
 * disk.
 *
 * Order of the start: problems of the configuration or the machine are found before anything is changed (vault,
 * identity, folders and ports in use), then the host's life begins.
 */
import type { HostConfig } from "../config/types.ts";
import { localDatabases } from "../capture/local-state.ts";
import type { Fingerprint } from "../core/suspects.ts";
import { allRules } from "../core/rules.ts";
import type { ChannelClient } from "../control/channel/client.ts";
import type { ClusterTls } from "../control/tls/cluster-tls.ts";
import { showCertificate } from "../metrics/show-certificate.ts";
import type { ApiListener } from "../control/server/listener.ts";
import { hostMetrics } from "../metrics/host-metrics.ts";
import { type Exposition, PrometheusMetrics } from "../metrics/prometheus.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { freePort } from "../runtime/free-ports.ts";
import { HostLogs } from "./log-ring.ts";
import { type LogFormat, type Logger, systemLog } from "../runtime/log.ts";
import { systemRandom } from "../runtime/random.ts";
import { chunkNamesOf } from "../vault/store/chunk-names.ts";
import type { Store } from "../vault/store/store.ts";
import { retentionPolicy } from "../config/retention-policy.ts";
import { HistoryChunks } from "../vault/checkpoint/history-chunks.ts";
import { collectGarbage } from "../vault/checkpoint/retention.ts";
import type { Log } from "../vault/log/log.ts";
import { openLog } from "../vault/log/open-log.ts";
import { reapOrphans } from "./application/orphans.ts";
import { MachineRehearsalGround } from "./application/rehearsal-ground.ts";
import { runHook } from "./application/run-hook.ts";
import { openScope } from "./application/scope.ts";
import { askForCheckpoint } from "./control/ask-checkpoint.ts";
import { reloadHost } from "./config-reload.ts";
import { controlApp } from "./control/control.ts";
import { serveControl } from "./control/control-server.ts";
import { showHost } from "./control/host-metrics.ts";
import { assertConnections } from "../http/server/descriptor-room.ts";
import { assertDescriptors } from "./machine/descriptor-check.ts";
import { assertUser } from "./application/user-checks.ts";
import { describeDescriptors, diskPlaces } from "./machine/disk-places.ts";
import { Exclusions } from "./ports/exclusions.ts";
import { assertFolderPlaces } from "./machine/folder-checks.ts";
import { noKeysWarning } from "./machine/known-keys.ts";
import { openHostVault } from "./machine/host-vault.ts";
import { warmUpCapture } from "./machine/warm-up.ts";
import { vaultCopyPorts } from "./machine/vault-copy-ports.ts";
import { Partition, PartitionedStore } from "./machine/partition.ts";
import { describeUncovered } from "./machine/uncovered-files.ts";
import { lockFolders } from "./machine/folder-lock.ts";
import { RestoreTestFile } from "./machine/restore-test-file.ts";
import { Front } from "./application/front.ts";
import { Host } from "./host.ts";
import { type HostChannel, openHostChannel } from "./host-channel.ts";
import type { DrillPorts } from "./drills.ts";
import type { HookRunner } from "./ports/hook.ts";
import type { HostPorts } from "./host-ports.ts";
import { replicaOpener } from "./open-replica.ts";
import { sourceOpener } from "./open-source.ts";
import { databaseCheck } from "./secondary/database-check.ts";
import { checkDatabases } from "./secondary/integrity-check.ts";
import { readLocalChunk } from "./secondary/local-chunk.ts";
import { KeptEvents } from "../capture/files/kept-events.ts";
import { fileUserOf } from "../core/files/file-owner.ts";
import { localFilesOf } from "./secondary/files/local-files.ts";
import { LocalData } from "./secondary/local-data.ts";
import { predecessorProbe } from "./primary/predecessor.ts";
import { type ApplicationLogOptions, assertApplicationLog, openApplicationLog } from "./application/application-log.ts";
import { applicationJsonLine } from "./application/prefixed-output.ts";
import { Supervisor } from "./application/supervisor.ts";

export interface RunningHost {
  readonly host: Host;
  readonly controlPort: number;
  readonly dataPort: number;
  /** Reloads the configuration: `load` returns the file's present [host], or why it cannot be used. */
  reload(load: () => HostConfig | string): void;
  /** Steps down if primary, then ends everything. */
  close(reason: string): Promise<void>;
}

export interface StartOptions {
  /** Accept databases in which SQLite finds damage. */
  readonly acceptDamaged: boolean;
  /** Starts the process that checks databases. */
  readonly databaseChecker: readonly [string, ...string[]];
  /** Of the log; text when left out. */
  readonly logFormat?: LogFormat;
}

interface ControlParts {
  readonly partition: Partition;
  readonly metrics: Exposition;
  readonly log: Logger;
  readonly logs: HostLogs;
}

interface CleanerParts {
  readonly config: HostConfig;
  readonly clock: Clock;
  readonly store: Store;
  readonly vaultLog: Log;
  readonly log: Logger;
}

/** The host's own log, how a line of the application stands in it, and what is kept of both. */
function logsOf(name: string, format: LogFormat | undefined) {
  const logs = new HostLogs();
  const lineFormat = format === "json" ? applicationJsonLine(name) : undefined;
  return { log: logs.keeping(systemLog(name, format)), lineFormat, logs };
}

const outputOf = ({ application, service }: HostConfig, logs: HostLogs, to: Omit<ApplicationLogOptions, "service">) =>
  logs.keepingOutput(openApplicationLog(application.log, { service, ...to }));

/** Throws the typed errors of vault, sockets and file system, before the host begins to live. */
export async function startHost(given: HostConfig, options: StartOptions): Promise<RunningHost> {
  const config = { ...given };
  const { log, lineFormat, logs } = logsOf(`host ${config.id}`, options.logFormat);
  const clock = systemClock;
  const metrics = new PrometheusMetrics(hostMetrics);
  const channel = openHostChannel(config, clock, log);
  const { tls } = channel;
  const onWarning = (text: string): void => log.warn(text);
  const vault = await openHostVault(config, { clock, metrics, log, secrets: channel.secrets });
  const { store, identity, keys } = vault;
  const drills = drillPorts(config, clock);
  const exclusions = new Exclusions({ store, clock, host: config.id });
  const databases = localDatabases(config.databases, config.databasesExcept, () => exclusions.names);
  const findDatabases = () => databases.find(config.dataFolder);
  const onRemoved = (folder: string, why: string) => log.info("removed set-aside data", { folder, why });
  const setAside = { keep: config.setAsideKeep, bytesMax: config.setAsideBytesMax, onWarning, onRemoved };
  const user = assertMachine(config, await findDatabases(), onWarning);
  const fileUser = fileUserOf(process.geteuid?.() === 0, user);
  const [kept, beside] = [new KeptEvents(config.dataFolder), localFilesOf(config, fileUser)];
  const local = new LocalData(config, databases, setAside, { beside, vaultId: identity.id });
  await local.prepare(user);
  const closeVault = vault.own(lockFolders(config));
  await Promise.all([local.boundSetAsides(), warmUpCapture({ stateFolder: config.stateFolder, clock, onWarning })]);
  const front = await Front.listen({
    listen: config.dataListen,
    ...{ limits: config.limits, outcomes: config.outcomes },
    clock,
    metrics,
    tls,
    onSuspects: (fresh) => warnOfSuspects(log, fresh),
  });
  let control: ApiListener | undefined;
  const scope = openScope(config, { databases: findDatabases, clock, rules: allRules, onWarning });
  const [port, vaultLog] = [(): Promise<number> => portOfApplication(config), openLog(store, identity, { keys })];
  const host: Host = new Host({
    config,
    clock,
    random: systemRandom,
    rules: allRules,
    ...{ log, metrics, drills, store: new PartitionedStore(store, drills.partition) },
    vaultId: identity.id,
    logKind: identity.log,
    ...{ keys, lastingWarnings: keys === undefined ? [noKeysWarning] : [] },
    onClaim: () => scope.cgroup?.warm(),
    canary: { places: await diskPlaces(config), describeDescriptors },
    front,
    local,
    ...callsToHosts(config, channel.caller, clock),
    checkDatabases: bootstrapCheck(config, options, findDatabases),
    uncoveredFiles: () => describeUncovered(config),
    openReplica: replicaOpener({ config, local, user, store, vaultLog, kept }),
    openSource: sourceOpener({ config, clock, metrics, exclusions, store, vaultLog, user: fileUser, kept }),
    localChunk: (name, offset, length, chunk) =>
      readLocalChunk([local.previousFolder, config.dataFolder], { name, offset, length, chunk }, chunkNamesOf(store)),
    application: (owner) =>
      new Supervisor({
        ...owner,
        application: config.application,
        output: outputOf(config, logs, { clock, onWarning, lineFormat }),
        dataFolder: config.dataFolder,
        ...{ scope, user },
        clock,
        rules: allRules,
        metrics,
        requests: front.requests,
        freePort: port,
      }),
    ...{ freePort: port, vaultCopies: vaultCopyPorts(config, vault, drills.partition) },
    rehearsal: new MachineRehearsalGround({ config, user, clock, rules: allRules, freePort: port, onWarning }),
    ...{ restoreTest: restoreTestPorts(config, options), exclusions, rewind: { stateFolder: config.stateFolder } },
    certificate: tls,
    secret: channel.told(vault.secrets),
    ...{ runHook: hookRunner(config, log), leftovers: scope.leftovers },
    clean: cleaner({ config, clock, store, vaultLog, log }),
  });
  try {
    const parts = { metrics: exposed(metrics, host, front, tls), log, logs, partition: drills.partition };
    control = await openControl(host, channel, config, parts);
  } catch (error) {
    await front.close();
    await closeVault();
    throw error;
  }
  await reapOrphans(onWarning);
  host.start(await local.marker());
  log.info("started", { service: config.service, control: config.controlUrl, data: config.dataUrl, vault: store.url });
  const parts = { host, control, front, channel, log, close: closeVault };
  return {
    host,
    controlPort: control.port,
    dataPort: front.port,
    close: (reason) => closeAll(reason, parts),
    reload: (load) => reload(config, load, { host, channel, log }),
  };
}

/** Read for each call: a reload changes the configuration in place. */
const hookRunner =
  (config: HostConfig, log: Logger): HookRunner =>
  (call) => {
    const { hooks } = config;
    const command = hooks?.commands[call.hook];
    if (hooks === undefined || command === undefined) return undefined;
    const { cwd, timeoutMs } = hooks;
    return runHook({ command, cwd, timeoutMs, secrets: [config.secret] }, call, log);
  };

const drillPorts = ({ isRestarted }: HostConfig, clock: Clock): DrillPorts => ({
  ...{ partition: new Partition(clock), isRestarted },
  killProcess: () => process.kill(process.pid, "SIGKILL"),
});

/** Returns the application's user, if that is not the host's. */
function assertMachine(config: HostConfig, databases: readonly string[], onWarning: (text: string) => void) {
  assertFolderPlaces(config, onWarning);
  assertConnections("host.limits.connections", config.limits.connectionsMax);
  assertDescriptors(databases.length, onWarning);
  assertApplicationLog(config.application.log);
  return assertUser(config, databases, onWarning);
}

function callsToHosts({ service, controlUrl }: HostConfig, channel: ChannelClient, clock: Clock) {
  return {
    predecessor: predecessorProbe({ channel, clock, service, ownControlUrl: controlUrl }),
    askForCheckpoint: askForCheckpoint(channel, service, clock),
  };
}

function openControl(host: Host, channel: HostChannel, config: HostConfig, parts: ControlParts): Promise<ApiListener> {
  const { tls, server, authenticator } = channel;
  const certified = tls?.cluster;
  const app = controlApp(host, { authenticator, channel: server, certified, clock: systemClock, ...parts });
  return serveControl(app, config.controlListen, tls);
}

const portOfApplication = ({ application }: HostConfig): Promise<number> =>
  application.port === undefined ? freePort("applications") : Promise.resolve(application.port);

function cleaner({ config, clock, store, vaultLog, log }: CleanerParts): HostPorts["clean"] {
  const history = new HistoryChunks();
  return async (newest, logPosition, noEpochAfter) => {
    const { records, checkpoints, chunks } = await collectGarbage({
      store,
      log: vaultLog,
      newest,
      logPosition,
      policy: retentionPolicy(config.checkpoint),
      nowMs: clock.wallTime(),
      rules: allRules,
      history,
      noEpochAfter,
    });
    if (records.length > 0)
      log.info("retention", { records: records.length, checkpoints: checkpoints.length, chunks: chunks.length });
  };
}

function exposed(metrics: PrometheusMetrics, host: Host, front: Front, tls?: ClusterTls): Exposition {
  return {
    contentType: metrics.contentType,
    text: () => {
      showHost(metrics, host.status(), front);
      showCertificate(metrics, "stead_host_certificate_expiry_timestamp_seconds", tls?.expiresAtMs);
      return metrics.text();
    },
  };
}

function reload(
  config: HostConfig,
  load: () => HostConfig | string,
  { host, channel, log }: { host: Host; channel: HostChannel; log: Logger },
): void {
  const next = load();
  const outcome = typeof next === "string" ? ({ kind: "refused", why: next } as const) : reloadHost(config, next);
  if (outcome.kind === "refused")
    return log.error(`configuration refused, the previous one stays in force: ${outcome.why}`);
  if (typeof next !== "string") channel.secrets.follow(next.cluster.secretFrom);
  log.info("configuration reloaded", { changed: outcome.kind === "taken" ? outcome.keys.join(", ") : "nothing" });
  host.announce();
}

function warnOfSuspects(log: Logger, fresh: readonly Fingerprint[]): void {
  for (const { method, path } of fresh)
    log.warn("suspect_request: the application ended twice while such a request was in flight: it is set aside", {
      method,
      path,
    });
}

const bootstrapCheck = (
  { dataFolder: root, bootstrapCheck: depth }: HostConfig,
  { acceptDamaged, databaseChecker: command }: StartOptions,
  find: () => Promise<readonly string[]>,
) => databaseCheck({ root, depth, acceptDamaged, command, find, clock: systemClock });

function restoreTestPorts(
  { stateFolder }: HostConfig,
  { databaseChecker: command }: StartOptions,
): NonNullable<HostPorts["restoreTest"]> {
  const file = new RestoreTestFile(stateFolder);
  return {
    read: () => file.read(),
    write: (result) => file.write(result),
    check: (root, names, signal) =>
      checkDatabases({ command, root, depth: "full", names, onProgress: () => undefined, signal }),
  };
}

interface Parts {
  readonly host: Host;
  readonly control: ApiListener;
  readonly channel: HostChannel;
  readonly front: Front;
  readonly log: Logger;
  close(): Promise<void>;
}

async function closeAll(reason: string, { host, control, front, channel, log, close }: Parts): Promise<void> {
  log.info("stopping", { reason });
  await host.close(reason);
  await control.close();
  await front.close();
  channel.close();
  await close();
}

/**
 * Runs until a stop signal; resolves when the host has stepped down and everything is closed. `onRunning`: it can be
 * reloaded from now on.
 */
export async function runHost(
  config: HostConfig,
  options: StartOptions,
  signal: AbortSignal,
  onRunning: (running: RunningHost) => void,
): Promise<void> {
  const running = await startHost(config, options);
  onRunning(running);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await running.close("the host process was asked to stop");
}
