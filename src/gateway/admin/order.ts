/** An operator's command to a service, awaited to its end: what it did, or why it was refused. */
import type { CommandDone } from "../../control/gateway-api.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import type { Command, Failover } from "../../core/failover/state.ts";
import type { ServiceRuntime } from "../service/service.ts";
import { failoverEntry } from "./cluster-status.ts";

export const commandTimeoutMs = 140_000;

export async function order(service: ServiceRuntime, command: Command): Promise<CommandDone> {
  const outcome = await service.command(command, AbortSignal.timeout(commandTimeoutMs));
  if (outcome.kind === "refused") throw new ApiRefusal(outcome.code, { found: outcome.why, advice: outcome.advice });
  return {
    service: service.name,
    primary: outcome.primary ?? null,
    epoch: outcome.epoch,
    failover: entryOf(service, outcome.failover),
    mayLose: null,
  };
}

export function entryOf(service: ServiceRuntime, failover: Failover | undefined): CommandDone["failover"] {
  const row = failover === undefined ? undefined : service.recorder.find(failover.key);
  return row === undefined ? null : failoverEntry(row);
}
