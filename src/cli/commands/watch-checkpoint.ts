/** Shows how far a checkpoint is, as its host tells the gateway, while `stead checkpoint` waits for it. */
import { progressOfCheckpoint, writingCheckpoint } from "../../control/checkpoint-words.ts";
import type { ClusterStatus } from "../../control/gateway-api.ts";
import type { CheckpointProgress } from "../../control/host-status.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { GatewayAnswer } from "../../control/gateway-client.ts";
import type { ProgressOutput } from "../output/progress-output.ts";

const lookEveryMs = 1_000;

export interface CheckpointWatch {
  /** Default: the only service, and its primary. */
  readonly target: { readonly service?: string | undefined; readonly host?: string | undefined };
  readonly ask: (signal: AbortSignal) => Promise<GatewayAnswer<ClusterStatus>>;
  readonly output: Pick<ProgressOutput, "show">;
  readonly clock: Clock;
  /** Aborted when the checkpoint is written, or the command ends. */
  readonly signal: AbortSignal;
}

/** Resolves once the signal is aborted. A gateway that does not answer is asked again: the order itself says why. */
export async function watchCheckpoint({ target, ask, output, clock, signal }: CheckpointWatch): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    const answer = await ask(signal);
    const progress = answer.kind === "ok" ? progressIn(answer.value, target) : undefined;
    if (progress !== undefined) output.show(writingCheckpoint, progressOfCheckpoint(progress));
  }
}

function progressIn(
  { services }: ClusterStatus,
  { service, host }: CheckpointWatch["target"],
): CheckpointProgress | undefined {
  const found = services.find(({ name }) => service === undefined || name === service);
  return found?.hosts.find(({ id }) => id === (host ?? found.primary))?.checkpointProgress ?? undefined;
}
