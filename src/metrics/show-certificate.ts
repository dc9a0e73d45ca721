/** Exposes the ends of a process's certificates as gauges. */
import type { Metrics } from "./metrics.ts";

/** Call before each scrape. `expiresAtMs` undefined: there is no certificate. */
export const showCertificate = (
  metrics: Metrics,
  name: "stead_certificate_expiry_timestamp_seconds" | "stead_host_certificate_expiry_timestamp_seconds",
  expiresAtMs: number | undefined,
): void => metrics.show(name, expiresAtMs === undefined ? [] : [[{}, expiresAtMs / 1_000]]);

/** The one that clients see. `expiresAtMs` undefined: none has been issued. */
export const showClientCertificate = (metrics: Metrics, expiresAtMs: number | undefined): void =>
  metrics.show(
    "stead_client_certificate_expiry_timestamp_seconds",
    expiresAtMs === undefined ? [] : [[{}, expiresAtMs / 1_000]],
  );
