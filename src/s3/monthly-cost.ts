/**
 * What a vault in a bucket costs in a month of 30 days: requests, and bytes that are kept. An estimate from intervals
 * that are configured and from a load that is assumed; the checkpoints' chunks are in the bytes and not in the requests
 * (one put for each MiB or so that changed).
 */
import { leaseMsMax } from "../core/host/lease.ts";

const monthMs = 30 * 24 * 3_600_000;
/** A secondary tries so often whether it can write (host/machine/canary.ts). */
const canaryMs = 5_000;
const gigabyte = 1e9;

export interface BucketUse {
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly secondaries: number;
  readonly putMs: number;
  readonly commitsPerSecond: number;
  readonly commitBytes: number;
  /** Of all databases, as the bucket has them. */
  readonly databaseBytes: number;
  readonly keepMin: number;
  readonly windowMs: number;
}

/** In USD: for 1,000 requests, and for a gigabyte and month. */
export interface BucketPrices {
  readonly puts: number;
  readonly gets: number;
  readonly storage: number;
}

export interface MonthlyCost {
  readonly puts: number;
  readonly gets: number;
  /** Kept at any time. */
  readonly bytes: number;
  readonly usd: { readonly puts: number; readonly gets: number; readonly storage: number; readonly all: number };
}

/** Of a service that writes this much all the time. With no commits: of an idle one. */
export function monthlyCost(use: BucketUse, prices: BucketPrices): MonthlyCost {
  const { leaseMs, pollMs, secondaries, putMs, commitsPerSecond, commitBytes } = use;
  // At most: a flush that waits for more writers (core/host/group-commit.ts) makes fewer.
  const flushes = Math.min(commitsPerSecond, 1000 / putMs);
  const renewals = 2000 / Math.min(leaseMs, leaseMsMax);
  const perSecond = {
    // What is put renews the lease too.
    puts: Math.max(flushes, renewals) + secondaries * (1000 / canaryMs),
    // Each look ends with a record that is not there.
    gets: secondaries * (1000 / pollMs + Math.max(flushes, renewals)),
  };
  const [puts, gets] = [perSecond.puts * (monthMs / 1000), perSecond.gets * (monthMs / 1000)];
  // A base for each kept checkpoint at worst; chunks that did not change are shared.
  const bytes = use.databaseBytes * use.keepMin + commitsPerSecond * commitBytes * (use.windowMs / 1000);
  const usd = {
    puts: (puts / 1000) * prices.puts,
    gets: (gets / 1000) * prices.gets,
    storage: (bytes / gigabyte) * prices.storage,
  };
  return { puts, gets, bytes, usd: { ...usd, all: usd.puts + usd.gets + usd.storage } };
}
