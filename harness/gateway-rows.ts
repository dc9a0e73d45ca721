/**
 * Whether all gateways have the same rows: `select *` of every documented view, asked of each gateway's own admin
 * listener.
 *
 * Rows of a living cluster change all the time (positions of hosts), and no query spans two gateways. So each view is
 * asked of all gateways at once, again and again, and counts as the same from the moment when all give the same rows.
 */
import { GatewayClient } from "../src/control/gateway-client.ts";
import { type SqlValue, sqlRowsMax } from "../src/control/gateway-api.ts";
import type { Clock } from "../src/runtime/clock.ts";
import type { ChannelClient } from "../src/control/channel/client.ts";
import type { GatewayMember } from "./cluster.ts";

export const comparedViews = [
  "services",
  "cluster",
  "gateways",
  "hosts",
  "health",
  "epochs",
  "failovers",
  "events",
] as const;
type ComparedView = (typeof comparedViews)[number];

const lookEveryMs = 20;

/** The rows of one gateway, or why there are none. */
export type GatewayRows =
  | { readonly kind: "rows"; readonly rows: readonly (readonly SqlValue[])[] }
  | { readonly kind: "none"; readonly why: string };

export interface Convergence {
  /** From `sinceMs` until every view was found the same everywhere; null: that was not seen in time. */
  readonly ms: number | null;
  /** What differed when time was up, one line each. */
  readonly differences: readonly string[];
}

export interface ConvergenceOptions {
  readonly gateways: readonly Pick<GatewayMember, "id" | "adminUrl">[];
  readonly caller: ChannelClient | string;
  readonly clock: Clock;
  readonly sinceMs: number;
  readonly withinMs: number;
  readonly signal: AbortSignal;
}

/** Waits until all gateways have the same rows, or time is up. */
export async function whenSame(options: ConvergenceOptions): Promise<Convergence> {
  const { gateways, caller, clock, sinceMs, withinMs, signal } = options;
  const clients = gateways.map(({ id, adminUrl }) => ({ id, client: new GatewayClient(adminUrl, caller, clock) }));
  const open = new Set<ComparedView>(comparedViews);
  for (;;) {
    const differences: string[] = [];
    for (const view of open) {
      const asked = await Promise.all(clients.map(async ({ id, client }) => [id, await rowsOf(client, view)] as const));
      const differs = differencesOf(view, new Map(asked));
      if (differs.length === 0) open.delete(view);
      differences.push(...differs);
    }
    const now = clock.now();
    if (open.size === 0) return { ms: now - sinceMs, differences: [] };
    if (now - sinceMs > withinMs) return { ms: null, differences };
    await clock.sleep(lookEveryMs, signal);
  }
}

async function rowsOf(client: GatewayClient, view: ComparedView): Promise<GatewayRows> {
  const answer = await client.sql({ sql: `select * from ${view}`, rowsMax: sqlRowsMax });
  if (answer.kind !== "ok")
    return {
      kind: "none",
      why: answer.kind === "refused-by-gateway" ? answer.error : `${answer.kind}: ${answer.message}`,
    };
  if (answer.value.truncated) return { kind: "none", why: `it has more than ${sqlRowsMax} rows` };
  return { kind: "rows", rows: answer.value.rows };
}

const shownPerGateway = 3;

/**
 * How the gateways differ from the first, one line each; empty when they do not. A view has no order of its own, so
 * order does not count; how often a row is there does.
 */
export function differencesOf(view: string, byGateway: ReadonlyMap<string, GatewayRows>): string[] {
  const lines: string[] = [];
  const [first] = byGateway;
  if (first === undefined) return ["there is no gateway"];
  const [firstId, firstRows] = first;
  for (const [id, found] of byGateway) {
    if (found.kind === "none") lines.push(`${view}: ${id} does not tell: ${found.why}`);
    else if (firstRows.kind === "rows" && id !== firstId) {
      const [more, less] = [without(found.rows, firstRows.rows), without(firstRows.rows, found.rows)];
      for (const row of more.slice(0, shownPerGateway)) lines.push(`${view}: ${id} has ${row}, ${firstId} has not`);
      for (const row of less.slice(0, shownPerGateway)) lines.push(`${view}: ${firstId} has ${row}, ${id} has not`);
    }
  }
  return lines;
}

/** Rows of `some` that `others` lack, as text. */
function without(some: readonly (readonly SqlValue[])[], others: readonly (readonly SqlValue[])[]): string[] {
  const counts = new Map<string, number>();
  for (const row of others) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) + 1);
  return some
    .map((row) => JSON.stringify(row))
    .filter((text) => {
      const left = counts.get(text) ?? 0;
      counts.set(text, left - 1);
      return left <= 0;
    });
}
