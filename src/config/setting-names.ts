/**
 * The settings of a gateway by the keys of its file: what a refused reload, a difference and the page name is what an
 * operator can look for. Values are written as in a file, with their units.
 */
import { formatAddress } from "./address.ts";
import type { GatewayConfig } from "./types.ts";
import { gatewayLimits } from "./limits.ts";
import { formatDuration, formatSize } from "./units.ts";

export type Setting = string | number;
type Settings = Readonly<Record<string, Setting>>;
type GatewayParts = Pick<GatewayConfig, "probe" | "hold" | "limits" | "dataPlane">;

export const durationText = (ms: number): string => (ms === 0 ? "0s" : formatDuration(ms));
export const sizeText = (bytes: number): string => (bytes === 0 ? "0B" : formatSize(bytes));

/** Of the tables below [gateway]. */
export function settingsOfTables({ probe, hold, limits, dataPlane }: GatewayParts): Settings {
  return {
    "gateway.probe.interval": durationText(probe.intervalMs),
    "gateway.probe.timeout": durationText(probe.timeoutMs),
    "gateway.probe.fall": probe.fall,
    "gateway.probe.rise": probe.rise,
    "gateway.hold.requests": hold.requestsMax,
    "gateway.hold.bytes": sizeText(hold.bytesMax),
    "gateway.hold.time": durationText(hold.timeMs),
    "gateway.hold.concurrency": dataPlane.releaseConcurrency,
    ...limitSettings(limits),
    ...dataPlaneSettings(dataPlane),
  };
}

const limitSettings = (limits: GatewayConfig["limits"]): Settings =>
  Object.fromEntries(
    gatewayLimits.map(({ name, key, unit }) => {
      const value = limits[name];
      const text = unit === "count" ? value : unit === "bytes" ? sizeText(value) : durationText(value);
      return [`gateway.limits.${key}`, text];
    }),
  );

function certificateSettings({ certPath, keyPath, acme }: NonNullable<GatewayConfig["dataPlane"]["tls"]>): Settings {
  if (acme === undefined) return { "gateway.tls.cert": certPath, "gateway.tls.key": keyPath };
  const { directory, domains, email = "", challenge, folder, caPath = "" } = acme;
  return {
    "gateway.tls.acme.directory": directory,
    "gateway.tls.acme.domains": JSON.stringify(domains),
    "gateway.tls.acme.email": email,
    "gateway.tls.acme.challenge": challenge,
    "gateway.tls.acme.folder": folder,
    "gateway.tls.acme.ca": caPath,
  };
}

function dataPlaneSettings({ tls, accessLog, ...rest }: GatewayConfig["dataPlane"]): Settings {
  const { target, format } = accessLog;
  const listeners = rest.listeners.map(({ address, serve }) => [
    `gateway.listener ${formatAddress(address)}`,
    serve.kind === "redirect" ? `redirect to port ${serve.port}` : serve.kind,
  ]);
  return {
    ...(tls === undefined ? {} : certificateSettings(tls)),
    ...Object.fromEntries(
      (tls?.names ?? []).map(({ serverName, certPath, keyPath }) => [
        `gateway.tls.certificate ${serverName}`,
        `${certPath}, ${keyPath}`,
      ]),
    ),
    ...(tls === undefined ? {} : { "gateway.tls.http2": String(rest.http2) }),
    "gateway.app": String(rest.app),
    ...Object.fromEntries(listeners),
    "gateway.proxy_protocol_from": JSON.stringify(rest.proxyProtocolFrom),
    "gateway.trusted_proxies": JSON.stringify(rest.trustedProxies),
    "gateway.underscore_fields": rest.underscoreFields,
    "gateway.traceparent": rest.traceparent,
    "gateway.access_log.to": target.kind === "file" ? target.path : target.kind,
    "gateway.access_log.format": format,
  };
}
