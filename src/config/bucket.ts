/**
 * A vault in a bucket, as a host's file names it: where the bucket is, how often the log is written and read there, and
 * which settings do not go together.
 */
import { dirname, resolve } from "node:path";
import { isS3Url, publicEndpoint, type S3Settings } from "../core/s3-place.ts";
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

export function resolveS3(file: string, { vault, vault_s3: s3 }: HostContent): S3Settings | undefined {
  if (!isS3Url(vault)) return undefined;
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

export function checkBucket(host: HostContent, problems: Problems): void {
  const { vault_s3: s3, vault } = host;
  if (s3 !== undefined && !isS3Url(vault))
    problems.add(["host", "vault_s3"], {
      found: `[host.vault_s3] beside vault = ${JSON.stringify(vault)}`,
      accepted: "it belongs to a vault in a bucket",
      advice: 'remove it, or write vault = "s3://bucket/prefix"',
    });
  if (s3?.profile !== undefined && s3.credentials_file === undefined)
    problems.add(["host", "vault_s3", "profile"], {
      found: "a profile without credentials_file",
      accepted: "both, or none: then the credentials come from the environment",
      advice: "add credentials_file, or remove the profile",
    });
  if (s3?.ca !== undefined && s3.endpoint?.secure !== true)
    problems.add(["host", "vault_s3", "ca"], {
      found: "authorities without an endpoint that has TLS",
      accepted: 'both: ca, and endpoint = "https://…"',
      advice: "remove ca, or correct the endpoint",
    });
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
