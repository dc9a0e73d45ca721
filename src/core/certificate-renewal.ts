/**
 * When a certificate is renewed, and when after a failure.
 *
 * An authority bounds orders by account and by name, and several gateways order for the same names: their times differ
 * (`jitter`), failures wait twice as long each time, and never less than the authority asked for.
 */
export interface CertificateLifetime {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Of the lifetime: what is left when it is renewed, and by how much some renew earlier. */
const leftAtRenewal = 1 / 3;
const earlierMax = 1 / 30;

export const firstRetryMs = 60_000;
export const retryMsMax = 6 * 3_600_000;

/** `jitter`: from 0 to 1. */
export function renewalAtMs({ notBeforeMs, notAfterMs }: CertificateLifetime, jitter: number): number {
  const lifetimeMs = notAfterMs - notBeforeMs;
  return notAfterMs - lifetimeMs * (leftAtRenewal + jitter * earlierMax);
}

/** `failures`: in a row, at least 1. `askedMs`: the authority's Retry-After. `jitter`: from 0 to 1. */
export function renewalRetryMs(failures: number, askedMs: number | undefined, jitter: number): number {
  const backoffMs = Math.min(retryMsMax, firstRetryMs * 2 ** Math.min(failures - 1, 20));
  return Math.max(backoffMs, askedMs ?? 0) * (1 + jitter / 10);
}
