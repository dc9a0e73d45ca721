/** `stead vault estimate`: what a vault in a bucket costs in a month, idle and busy. */
import { buildCommand } from "@stricli/core";
import { formatSize, parseSize, sizeAccepted } from "../../config/units.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { isS3Url } from "../../core/s3-place.ts";
import { type BucketPrices, type BucketUse, monthlyCost, type MonthlyCost } from "../../s3/monthly-cost.ts";
import type { CliContext } from "../output/context.ts";
import { type Column, formatTable } from "../output/table.ts";
import { requireConfig } from "./config.ts";

interface EstimateFlags {
  readonly config: string | undefined;
  readonly secondaries: number;
  readonly "put-ms": number;
  readonly commits: number;
  readonly "commit-size": number;
  readonly databases: number;
  readonly "put-price": number;
  readonly "get-price": number;
  readonly "storage-price": number;
  readonly json: boolean;
}

const columns: readonly Column[] = [
  { title: "LOAD" },
  ...["PUTS", "GETS", "KEPT", "PUTS USD", "GETS USD", "KEPT USD", "ALL USD"].map(
    (title) => ({ title, align: "right" }) as const,
  ),
];

const numeric = (brief: string, placeholder: string, otherwise: string) =>
  ({ kind: "parsed", parse: positive, default: otherwise, placeholder, brief }) as const;

export const vaultEstimateCommand = buildCommand<EstimateFlags, [], CliContext>({
  docs: {
    brief: "Estimate what a vault in a bucket costs in a month",
    fullDescription: [
      "Counts requests and kept bytes of 30 days from the lease, poll and checkpoint settings of [host] and from a load that",
      "you assume: idle, and busy all the time. Asks no bucket. Prices are those of AWS in us-east-1 unless given.",
      "",
      "EXAMPLES",
      "  stead vault estimate",
      "  stead vault estimate --commits 50 --commit-size 16KiB --databases 10GiB --put-ms 15",
    ].join("\n"),
  },
  parameters: {
    flags: {
      config: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "file",
        brief: "Configuration file whose [host] has the bucket (default: stead.toml)",
      },
      secondaries: numeric("Secondaries of the service", "n", "1"),
      "put-ms": numeric("How long a put takes, milliseconds", "ms", "20"),
      commits: numeric("Commits in a second while busy", "n", "10"),
      "commit-size": {
        kind: "parsed",
        parse: size,
        default: "8KiB",
        placeholder: "size",
        brief: "What a commit adds to the log, compressed",
      },
      databases: {
        kind: "parsed",
        parse: size,
        default: "1GiB",
        placeholder: "size",
        brief: "Size of all databases, compressed",
      },
      "put-price": numeric("USD for 1,000 puts", "usd", "0.005"),
      "get-price": numeric("USD for 1,000 gets", "usd", "0.0004"),
      "storage-price": numeric("USD for a gigabyte and month", "usd", "0.023"),
      json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON object" },
    },
  },
  func(flags) {
    const { host, file } = requireConfig(this, flags.config);
    if (host === undefined || !isS3Url(host.vaultUrl))
      throw new OperatorError("configuration", {
        found: host === undefined ? `no [host] in ${file}` : `the vault ${host.vaultUrl} in ${file}`,
        accepted: "a [host] with a vault in a bucket (s3://bucket/prefix)",
        advice: "name such a file with --config; requests to a folder and to a vault server cost nothing",
      });
    const { leaseMs, pollMs, checkpoint } = host;
    const use = (commitsPerSecond: number): BucketUse => ({
      ...{ leaseMs, pollMs, secondaries: flags.secondaries, putMs: flags["put-ms"], commitsPerSecond },
      ...{ commitBytes: flags["commit-size"], databaseBytes: flags.databases },
      ...{ keepMin: checkpoint.keepMin, windowMs: checkpoint.windowMs },
    });
    const prices: BucketPrices = {
      ...{ puts: flags["put-price"], gets: flags["get-price"], storage: flags["storage-price"] },
    };
    const [idle, busy] = [monthlyCost(use(0), prices), monthlyCost(use(flags.commits), prices)];
    this.process.stdout.write(
      flags.json
        ? `${JSON.stringify({ ok: true, idle, busy })}\n`
        : formatTable(
            columns,
            [rowOf("idle", idle), rowOf(`${flags.commits} commits/s`, busy)],
            this.process.stdout.columns,
          ),
    );
  },
});

const rowOf = (load: string, { puts, gets, bytes, usd }: MonthlyCost): string[] => [
  load,
  ...[puts, gets].map((count) => `${(count / 1e6).toFixed(1)} M`),
  formatSize(roundedTo(bytes, bytes >= 1024 ** 3 ? 1024 ** 3 : 1024 ** 2)),
  ...[usd.puts, usd.gets, usd.storage, usd.all].map((amount) => amount.toFixed(2)),
];

const roundedTo = (bytes: number, unit: number): number => Math.max(unit, Math.round(bytes / unit) * unit);

function positive(text: string): number {
  const value = Number(text);
  if (!/^\d{1,9}(\.\d{1,9})?$/.test(text) || value <= 0)
    throw new Error(`expected a number above 0, found ${JSON.stringify(text)}`);
  return value;
}

function size(text: string): number {
  const result = parseSize(text);
  if (result.kind === "ok") return result.value;
  throw new Error(`expected ${sizeAccepted}, found ${JSON.stringify(text)}`);
}
