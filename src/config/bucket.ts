/**
 * A vault in a bucket, as a host's file names it: where the bucket is, how often the log is written and read there, and
 * which settings do not go together.
 */
import { dirname, resolve } from "node:path";
import { isS3Url, publicEndpoint, type S3Settings } from "../core/s3-place.ts";
import type { KeyPath } from "./locate.ts";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import { formatDuration } from "./units.ts";

type HostContent = NonNullable<FileContent["host"]>;

const leaseMsMin = 1_000;
const pollMsMin = 50;

/** Each renewal and each look is a request to the bucket, which takes tens of milliseconds and costs money. */
const logDefaults = { folder: { leaseMs: 1_000, pollMs: 20 }, bucket: { leaseMs: 4_000, pollMs: 250 } } as const;

/** Returns the lease and the pause between two looks at the log. */
export function logTimes({ vault, lease, poll }: Pick<HostContent, "vault" | "lease" | "poll">): {
  readonly leaseMs: number;
  readonly pollMs: number;
} {
  const { leaseMs, pollMs } = logDefaults[isS3Url(vault) ? "bucket" : "folder"];
  return { leaseMs: lease ?? leaseMs, pollMs: poll ?? pollMs };
}

export const resolveS3 = (file: string, { vault, vault_s3: s3 }: HostContent): S3Settings | undefined =>
  isS3Url(vault) ? settingsOf(file, s3) : undefined;

/** Returns where a bucket is, with the defaults. */
export function settingsOf(file: string, s3: HostContent["vault_s3"]): S3Settings {
  const path = (of: string): string => resolve(dirname(file), of);
  const region = s3?.region ?? "us-east-1";
  const { credentials_file: credentials, profile = "default" } = s3 ?? {};
  return {
    endpoint: s3?.endpoint ?? publicEndpoint(region),
    region,
    pathStyle: s3?.path_style ?? s3?.endpoint !== undefined,
    caPath: s3?.ca === undefined ? undefined : path(s3.ca),
    credentials:
      credentials === undefined ? { kind: "environment" } : { kind: "file", path: path(credentials), profile },
  };
}

interface BucketTable {
  readonly s3: HostContent["vault_s3"];
  /** Where the bucket, or something else, is. */
  readonly place: string;
  readonly path: KeyPath;
}

/** Adds what is wrong with a table that says where a bucket is. */
export function bucketProblems({ s3, place, path }: BucketTable, problems: Problems): void {
  const [table, key] = path.length === 2 ? ["[host.vault_s3]", "vault"] : ["[host.vault_copy.s3]", "to"];
  if (s3 !== undefined && !isS3Url(place))
    problems.add(path, {
      found: `${table} beside ${key} = ${JSON.stringify(place)}`,
      accepted: "it belongs to a vault in a bucket",
      advice: `remove it, or write ${key} = "s3://bucket/prefix"`,
    });
  if (s3?.profile !== undefined && s3.credentials_file === undefined)
    problems.add([...path, "profile"], {
      found: "a profile without credentials_file",
      accepted: "both, or none: then the credentials come from the environment",
      advice: "add credentials_file, or remove the profile",
    });
  if (s3?.ca !== undefined && s3.endpoint?.secure !== true)
    problems.add([...path, "ca"], {
      found: "authorities without an endpoint that has TLS",
      accepted: 'both: ca, and endpoint = "https://…"',
      advice: "remove ca, or correct the endpoint",
    });
}

export function checkBucket(host: HostContent, problems: Problems): void {
  const { vault_s3: s3, vault } = host;
  bucketProblems({ s3, place: vault, path: ["host", "vault_s3"] }, problems);
  if (!isS3Url(vault)) return;
  const { leaseMs, pollMs } = logTimes(host);
  const times = [
    ["lease", leaseMs, leaseMsMin, "a put to a bucket takes tens of milliseconds, and some take a second"],
    ["poll", pollMs, pollMsMin, "each look is a request that costs money"],
  ] as const;
  for (const [key, value, least, why] of times)
    if (value < least)
      problems.add(["host", key], {
        found: `${formatDuration(value)} with a vault in a bucket: ${why}`,
        accepted: `at least ${formatDuration(least)}`,
        advice: "leave it out, or raise it",
      });
}
