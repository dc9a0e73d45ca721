/** Drills in the admin API: one is run to its end, or refused with every reason why it is not safe now. */
import { ordererInWords } from "../../control/orderer.ts";
import * as v from "valibot";
import {
  type DrillEntry,
  type DrillList,
  drillCancelRequestSchema,
  drillPlanRequestSchema,
  drillRequestSchema,
  type PlannedDrillEntry,
} from "../../control/drill-api.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import { parseDueTime } from "../../core/due-time.ts";
import { plannedEntry, type TimedDrill } from "../service/drill-orders.ts";
import type { Drills } from "../service/drills.ts";
import type { ServiceRuntime } from "../service/service.ts";
import type { DrillRow } from "../state/rows.ts";
import { nameOfPrincipal } from "./principal-name.ts";

/** Longer than a drill waits for the service to be back. */
const drillMsMax = 200_000;

export function addDrills(app: Api, drills: Drills, find: (service: string | undefined) => ServiceRuntime): void {
  app.get("/v1/drills", (c) =>
    c.json({ drills: drills.list().map(drillEntry), planned: [...drills.planned()] } satisfies DrillList),
  );
  app.post("/v1/drills", jsonBody(drillRequestSchema), async (c) => {
    const { service, kind, forMs } = c.req.valid("json");
    const found = find(service);
    const orderedBy = nameOfPrincipal(c.var.principal);
    const outcome = await drills.run(found, { kind, forMs, orderedBy }, AbortSignal.timeout(drillMsMax));
    if (outcome.kind === "run") return c.json(drillEntry(outcome.drill));
    throw new ApiRefusal("conflict", {
      found: `a drill of ${found.name} is not safe now: ${outcome.reasons.join("; ")}`,
      advice: "nothing was done; see `stead failover --dry-run` and `stead status`",
    });
  });
}

/** Drills for a time, which the gateways run by themselves (gateway/service/planned-drills.ts). */
export function addDrillOrders(app: Api, drills: Drills, find: (service: string | undefined) => ServiceRuntime): void {
  app.post("/v1/drills/plan", jsonBody(drillPlanRequestSchema), (c) => {
    const { service, kind, forMs, at } = c.req.valid("json");
    const found = find(service);
    const due = parseDueTime(at);
    const other = drills.orders.find(found.name);
    if (due === undefined) throw new Error("the schema has the same pattern");
    if (other !== undefined)
      throw new ApiRefusal("conflict", {
        found: `a drill of ${found.name} is planned already: ${inWords(other)}`,
        advice: `take it back first: \`stead drill cancel --service ${found.name}\``,
      });
    const orderedBy = nameOfPrincipal(c.var.principal);
    const order = drills.orders.plan({ service: found.name, kind, forMs, orderedBy }, due);
    found.recorder.recordEvent("info", "drill-planned", undefined, inWords(order));
    return c.json(plannedEntry(order) satisfies PlannedDrillEntry);
  });
  app.post("/v1/drills/cancel", jsonBody(drillCancelRequestSchema), (c) => {
    const found = find(c.req.valid("json").service);
    const order = drills.orders.find(found.name);
    if (order === undefined)
      throw new ApiRefusal("conflict", {
        found: `no drill of ${found.name} is planned by an order`,
        advice: "see `stead drill list`; one of `service.drill` is cancelled in the configuration",
      });
    drills.orders.withdraw(order);
    const by = nameOfPrincipal(c.var.principal);
    found.recorder.recordEvent(
      "info",
      "drill-cancelled",
      undefined,
      `${inWords(order)}, cancelled by ${ordererInWords(by)}`,
    );
    return c.json(plannedEntry(order) satisfies PlannedDrillEntry);
  });
}

const inWords = ({ kind, dueAtMs, orderedBy }: TimedDrill): string =>
  `${kind} at ${new Date(dueAtMs).toISOString()}, ordered by ${ordererInWords(orderedBy)}`;

export const drillEntry = (row: DrillRow): DrillEntry => ({
  ...{ id: row.id, service: row.service, kind: row.kind, gateway: row.gateway, orderedBy: row.orderedBy },
  ...{ startedAtMs: row.startedAtMs, outcome: row.outcome, detail: row.detail },
  from: row.fromHost ?? null,
  to: row.toHost ?? null,
  failover: row.failover ?? null,
  predictedMs: row.predictedMs ?? null,
  rtoMs: row.rtoMs ?? null,
  measuredBy: row.measuredBy ?? null,
  objectiveMs: row.objectiveMs ?? null,
  dueAtMs: row.dueAtMs ?? null,
  rpoMs: row.rpoMs ?? null,
  probeWrites: row.probeWrites ?? null,
  probeLost: row.probeLost ?? null,
  phases: phasesOf(row),
});

/** A row may come from a peer of another version. */
function phasesOf({ prediction, phases, rtoMs }: DrillRow): DrillEntry["phases"] {
  const expected = parsed(v.array(v.object({ phase: v.string(), ms: v.number() })), prediction) ?? [];
  const measured = parsed(v.record(v.string(), v.number()), phases);
  const known = new Map(Object.entries(measured ?? {}));
  const sum = [...known.values()].reduce((total, ms) => total + ms, 0);
  if (measured !== undefined && typeof rtoMs === "number") known.set("rest", rtoMs - sum);
  const names = new Set([...expected.map(({ phase }) => phase), ...known.keys()]);
  return [...names].map((phase) => ({
    phase,
    expectedMs: expected.find((each) => each.phase === phase)?.ms ?? null,
    measuredMs: known.get(phase) ?? null,
  }));
}

function parsed<S extends v.GenericSchema>(schema: S, text: string | null | undefined): v.InferOutput<S> | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const { success, output } = v.safeParse(schema, JSON.parse(text));
    return success ? output : undefined;
  } catch {
    return undefined;
  }
}
