/**
 * The settings of a gateway under the names of its file, with their units. They show how two configurations
 * differ, and which differences a running gateway can apply.
 */
import { hash } from "node:crypto";
import { formatDueTime } from "../core/due-time.ts";
import { formatAddress } from "./address.ts";
import { durationText, type Setting, settingsOfTables, sizeText } from "./setting-names.ts";
import type { GatewayConfig, NotifyTarget, ServiceConfig, ServiceHostConfig, TracesConfig } from "./types.ts";

/** Settings that a running gateway can change; all others, except services, need a restart. */
const liveKeys: readonly RegExp[] = [
  /^gateway\.probe\./,
  /^gateway\.hold\./,
  /^gateway\.drain$/,
  /^gateway\.replay\./,
  /^gateway\.answer_whole$/,
];

/** Returns the settings without services and secret. */
export function gatewaySettings(config: GatewayConfig): Readonly<Record<string, Setting>> {
  // `services`, `secret` and settings with another name in the file are handled apart; the rest follows the types.
  const {
    services: _services,
    secret: _secret,
    cluster,
    listen,
    adminListen,
    adminUrl,
    databasePath,
    drainTimeoutMs,
    replayAgainMax,
    replayWrites,
    replaySpool,
    answerWholeBytesMax,
    clientHalfClose,
    notify = [],
    traces,
    probe,
    hold,
    limits,
    dataPlane,
    ...scalars
  } = config;
  return {
    "cluster.name": cluster.name,
    "cluster.accept_bearer": String(cluster.acceptBearer),
    ...(cluster.tls === undefined
      ? {}
      : {
          "cluster.tls.ca": cluster.tls.caPath,
          "cluster.tls.cert": cluster.tls.certPath,
          "cluster.tls.key": cluster.tls.keyPath,
        }),
    "gateway.listen": formatAddress(listen),
    "gateway.admin": formatAddress(adminListen),
    "gateway.advertise_admin": adminUrl,
    "gateway.database": databasePath,
    "gateway.drain": durationText(drainTimeoutMs),
    "gateway.replay.again": replayAgainMax,
    "gateway.replay.writes": replayWrites,
    "gateway.replay.spool": sizeText(replaySpool.bytesMax),
    ...(replaySpool.bytesMax === 0 ? {} : { "gateway.replay.spool_folder": replaySpool.folder }),
    "gateway.answer_whole": sizeText(answerWholeBytesMax),
    "gateway.client_half_close": clientHalfClose,
    ...Object.fromEntries(notify.map((target) => [`notify ${target.name}`, notifyText(target)])),
    ...(traces === undefined ? {} : { "gateway.traces": tracesText(traces) }),
    ...settingsOfTables({ probe, hold, limits, dataPlane }),
    ...flatten("gateway", scalars),
  };
}

/** Shows no secret, nor an address that may be one; a hash shows that it changed. */
const notifyText = ({ to, ...rest }: NotifyTarget): string =>
  `${to.kind === "http" ? to.format : to.kind} ${JSON.stringify(rest)} ${hash("sha256", JSON.stringify(to)).slice(0, hashShown)}`;
const tracesText = ({ endpoint, headers, sample, timeoutMs }: TracesConfig): string =>
  `${endpoint} sample ${sample} timeoutMs ${timeoutMs} ${hash("sha256", JSON.stringify(headers)).slice(0, hashShown)}`;
const hashShown = 12;

function flatten(prefix: string, value: unknown): Record<string, Setting> {
  if (typeof value === "string" || typeof value === "number") return { [prefix]: value };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { [prefix]: JSON.stringify(value ?? null) };
  return Object.assign(
    {},
    ...Object.entries(value).map(([key, inner]) => flatten(`${prefix}.${key}`, inner)),
  ) as Record<string, Setting>;
}

export interface Difference {
  readonly key: string;
  readonly before: Setting | null;
  readonly after: Setting | null;
}

/** Returns the differences in the order of the keys; null: absent. */
export function differences(
  before: Readonly<Record<string, Setting>>,
  after: Readonly<Record<string, Setting>>,
): readonly Difference[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return keys.flatMap((key) =>
    before[key] === after[key] ? [] : [{ key, before: before[key] ?? null, after: after[key] ?? null }],
  );
}

/** Returns the changed keys that need a restart. */
export function restartKeys(before: GatewayConfig, after: GatewayConfig): readonly string[] {
  const changed = differences(gatewaySettings(before), gatewaySettings(after)).map(({ key }) => key);
  const needed = changed.filter((key) => !liveKeys.some((live) => live.test(key)));
  // A file is followed: the one that it was, and another one that is named now.
  const isFollowed = before.secret === after.secret || after.cluster.secretFrom?.kind === "file";
  return isFollowed ? needed : ["cluster.secret", ...needed];
}

/** Returns the settings and hosts of the services, as the file names them. */
export function serviceSettings(services: readonly ServiceConfig[]): Readonly<Record<string, Setting>> {
  const settings: Record<string, Setting> = {};
  for (const service of services) {
    const prefix = `service ${service.name}`;
    settings[`${prefix}: match.host`] = service.match.host ?? "any";
    settings[`${prefix}: match.path`] = service.match.path ?? "any";
    settings[`${prefix}: rejoin`] = service.rejoin;
    if (service.objectiveMs !== undefined) settings[`${prefix}: objective.rto`] = service.objectiveMs;
    if (service.maintenance !== undefined) settings[`${prefix}: maintenance`] = maintenanceText(service.maintenance);
    if (service.probe !== undefined) settings[`${prefix}: objective.probe`] = probeText(service.probe);
    if (service.drill !== undefined)
      settings[`${prefix}: drill`] = `${service.drill.kind} at ${formatDueTime(service.drill.at)}`;
    if (service.replayWrites !== undefined) settings[`${prefix}: replay_writes`] = service.replayWrites;
    if (service.isKeyed === true) settings[`${prefix}: idempotency_key`] = "true";
    for (const { path, timeMs } of service.firstByte) settings[`${prefix}: first_byte ${path}`] = timeMs;
    for (const host of service.hosts) settings[hostKey(service.name, host.id)] = hostText(host);
  }
  return settings;
}

/** Shows no password or query, which may be a secret, and no header; a hash shows that one changed. */
const probeText = (probe: NonNullable<ServiceConfig["probe"]>): string =>
  `${probe.method} ${probe.url.replace(/\/\/[^/@]*@/, "//…@").replace(/\?.*$/, "?…")} ${hash("sha256", JSON.stringify(probe)).slice(0, hashShown)}`;

/** A hash shows that the page changed. */
const maintenanceText = ({ html, retryAfterMs }: NonNullable<ServiceConfig["maintenance"]>): string =>
  `${html === undefined ? "built-in" : `page ${hash("sha256", html).slice(0, hashShown)}`}, retry after ${retryAfterMs} ms`;

export const hostKey = (service: string, host: string): string => `service ${service}: host ${host}`;

/** Formats a host as one line for differences. */
export function hostText({ controlUrl, priority, nofailover }: Omit<ServiceHostConfig, "id">): string {
  return [
    controlUrl,
    ...(priority === undefined ? [] : [`priority ${priority}`]),
    ...(nofailover === undefined ? [] : [nofailover ? "nofailover" : "failover"]),
  ].join(", ");
}
