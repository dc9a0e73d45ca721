/**
 * What this host does to itself in a drill, as primary only. Each kind is bounded, and ends without another call:
 *
 * - `kill`: SIGKILL for this process, like a crash. Its supervisor starts it again, and it follows; without one it
 *   refuses. The application ends with it (application/watcher.ts).
 * - `hang`: SIGSTOP for the application's group. A timer sends SIGCONT; a kill, also by the liveness check, and the end
 *   of this process, end it earlier.
 * - `partition`: silence towards gateways, hosts and the vault (machine/partition.ts).
 */
import type { HostDrillDone, HostDrillRequest } from "../control/drill-api.ts";
import type { HostState } from "../core/host/life.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SupervisedApplication } from "./application/supervised-application.ts";
import type { Partition } from "./machine/partition.ts";
import type { Outcome } from "./ports/ports.ts";

/** What a drill may do to this process. */
export interface DrillPorts {
  readonly partition: Partition;
  /** True: a supervisor starts this process again when it ends. */
  readonly isRestarted: boolean;
  /** Ends this process at once, without any other call. */
  killProcess(): void;
}

/** The answer leaves before the process ends. */
const answerMs = 100;

export function beginDrill(
  { kind, forMs }: HostDrillRequest,
  state: HostState,
  application: SupervisedApplication | undefined,
  { ports, clock }: { readonly ports: DrillPorts | undefined; readonly clock: Clock },
): Outcome<HostDrillDone> {
  if (state.kind !== "primary") return refused(`only a primary is drilled; this host is ${state.kind}`);
  if (ports === undefined) return refused("this host cannot be drilled");
  switch (kind) {
    case "kill":
      if (!ports.isRestarted)
        return refused(
          "nothing is known to start this host again after a kill: set restarts = true in [host] if a supervisor does",
        );
      clock.setTimer(answerMs, () => ports.killProcess());
      return { kind: "done", done: { endsInMs: 0 } };
    case "hang":
      if (application?.freeze?.(forMs) !== true) return refused("the application does not run, or cannot be stopped");
      return { kind: "done", done: { endsInMs: forMs } };
    case "partition":
      // The answer leaves before the silence.
      clock.setTimer(answerMs, () => ports.partition.begin(forMs));
      return { kind: "done", done: { endsInMs: forMs + answerMs } };
  }
}

const refused = (reason: string): Outcome<HostDrillDone> => ({
  kind: "refused",
  refusal: { kind: "not_ready", reason },
});
