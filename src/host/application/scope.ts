/**
 * The common properties of one host's applications, which distinguish them from all other processes: mark, cgroup,
 * leftovers.
 */
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { Cgroup } from "./cgroup.ts";
import { Leftovers } from "./leftovers.ts";
import { MachineProcesses } from "./machine-processes.ts";
import { applicationMark, markVariable } from "./mark.ts";

export interface ApplicationScope {
  /** For every process started on behalf of the application. */
  readonly environment: Readonly<Record<string, string>>;
  /** undefined: this host may not create one. */
  readonly cgroup: Cgroup | undefined;
  readonly leftovers: Leftovers;
}

export interface ScopeOptions {
  /** Names of the databases below the data folder. */
  readonly databases: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly onWarning: (text: string) => void;
}

/** Both folders exist. */
export function openScope(
  { stateFolder, dataFolder }: { readonly stateFolder: string; readonly dataFolder: string },
  options: ScopeOptions,
): ApplicationScope {
  const { databases, clock, rules, onWarning } = options;
  const mark = applicationMark(stateFolder);
  const cgroup = Cgroup.make(mark);
  const processes = new MachineProcesses({ mark, dataFolder, cgroup, databases });
  return {
    environment: { [markVariable]: mark },
    cgroup,
    leftovers: new Leftovers({ processes, clock, rules, onWarning }),
  };
}
