/** Pauses and maintenance in the admin API: written for all gateways, and in force here before the answer. */
import {
  type CommandDone,
  type MaintenanceAnswer,
  maintenanceCallSchema,
  pauseCallSchema,
  serviceRequestSchema,
} from "../../control/gateway-api.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import type { Command, OrderTerms } from "../../core/failover/state.ts";
import type { TimedOrder } from "../service/timed-orders.ts";
import { maintenanceOf } from "./cluster-status.ts";
import type { ServiceRuntime } from "../service/service.ts";

export interface PauseTarget {
  /** Undefined: automation is on. */
  setPause(service: ServiceRuntime, pause: TimedOrder | undefined): OrderTerms;
  setMaintenance(service: ServiceRuntime, order: TimedOrder | undefined): void;
}

export function addPauses(
  app: Api,
  target: PauseTarget,
  find: (service: string | undefined) => ServiceRuntime,
  order: (service: ServiceRuntime, command: Command) => Promise<CommandDone>,
): void {
  app.post("/v1/pause", jsonBody(pauseCallSchema), async (c) => {
    const { service, reason, forMs } = c.req.valid("json");
    const found = find(service);
    return c.json(await order(found, { kind: "pause", terms: target.setPause(found, { reason, forMs }) }));
  });
  app.post("/v1/resume", jsonBody(serviceRequestSchema), async (c) => {
    const found = find(c.req.valid("json").service);
    target.setPause(found, undefined);
    return c.json(await order(found, { kind: "resume" }));
  });
  app.post("/v1/maintenance", jsonBody(maintenanceCallSchema), (c) => {
    const { service, on, reason, forMs } = c.req.valid("json");
    const found = find(service);
    target.setMaintenance(found, on ? { reason, forMs } : undefined);
    return c.json({ service: found.name, maintenance: maintenanceOf(found) } satisfies MaintenanceAnswer);
  });
}
