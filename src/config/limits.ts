/**
 * The limits of the data plane (src/http/limits.ts) as keys of a configuration file: [gateway.limits] and
 * [host.limits].
 */
import * as v from "valibot";
import { type GatewayLimitName, type HostLimitName, type LimitRow, limitTable } from "../http/limits.ts";
import { duration, size, whole } from "./fields.ts";
import { formatDuration, formatSize } from "./units.ts";

interface Limit<Name extends GatewayLimitName> extends LimitRow {
  readonly name: Name;
  readonly key: string;
}

const limits: readonly Limit<GatewayLimitName>[] = Object.entries<LimitRow>(limitTable).flatMap(([name, row]) =>
  row.key === undefined ? [] : [{ ...row, name: name as GatewayLimitName, key: row.key }],
);
const isOfHost = (limit: Limit<GatewayLimitName>): limit is Limit<HostLimitName> => limit.host !== undefined;

export const gatewayLimits = limits;
export const hostLimits: readonly Limit<HostLimitName>[] = limits
  .filter(isOfHost)
  .map((limit) => ({ ...limit, ...limit.host }));

/** Formats a value as in a file: `100`, `32KiB`, `75s`. */
function written({ unit, default: value }: LimitRow): number | string {
  if (unit === "count") return value;
  if (unit === "bytes") return formatSize(value);
  return value === 0 ? "0s" : formatDuration(value);
}

function schemaOf(limit: LimitRow) {
  if (limit.unit === "count") return v.optional(whole(limit.min, limit.max), limit.default);
  return v.optional(limit.unit === "bytes" ? size(limit) : duration(limit), String(written(limit)));
}

/** Builds the entries of the schema's table. */
export const limitEntries = (of: readonly Limit<GatewayLimitName>[]): Record<string, ReturnType<typeof schemaOf>> =>
  Object.fromEntries(of.map((limit) => [limit.key, schemaOf(limit)]));

/** Maps the keys of a parsed table to the names of the limits. */
export const resolveLimits = <Name extends GatewayLimitName>(
  of: readonly Limit<Name>[],
  values: Readonly<Record<string, number>>,
) => Object.fromEntries(of.map(({ name, key }) => [name, values[key]])) as Record<Name, number>;

/** Formats the lines of the example, commented out. */
export const limitLines = (of: readonly LimitRow[]): string =>
  of.map((limit) => `#${limit.key ?? ""} = ${JSON.stringify(written(limit))}\n`).join("");
