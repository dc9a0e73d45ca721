/** Exposes the end of a process's certificate as a gauge. */
import type { Metrics } from "./metrics.ts";

/** Call before each scrape. `expiresAtMs` undefined: there is no certificate. */
export const showCertificate = (
  metrics: Metrics,
  name: "stead_certificate_expiry_timestamp_seconds" | "stead_host_certificate_expiry_timestamp_seconds",
  expiresAtMs: number | undefined,
): void => metrics.show(name, expiresAtMs === undefined ? [] : [[{}, expiresAtMs / 1_000]]);
