import { allRules } from "../../../src/core/rules.ts";
import { Cgroup } from "../../../src/host/application/cgroup.ts";
import { Leftovers } from "../../../src/host/application/leftovers.ts";
import { MachineProcesses } from "../../../src/host/application/machine-processes.ts";
import { applicationMark, markVariable } from "../../../src/host/application/mark.ts";
import type { ApplicationScope } from "../../../src/host/application/scope.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

export interface ScopeFixture {
  readonly databases?: readonly string[];
  readonly warnings?: string[];
  /** False: as on a machine where a host may not make one. */
  readonly cgroup?: boolean;
}

/** As a host would make it for this folder, with or without a cgroup. */
export function scopeOf(
  folder: string,
  { databases = [], warnings = [], cgroup: wanted = true }: ScopeFixture = {},
): ApplicationScope {
  const mark = applicationMark(folder);
  const cgroup = wanted ? Cgroup.make(mark) : undefined;
  const processes = new MachineProcesses({
    mark,
    dataFolder: folder,
    cgroup,
    databases: () => Promise.resolve(databases),
  });
  const leftovers = new Leftovers({
    processes,
    clock: systemClock,
    rules: allRules,
    onWarning: (text) => void warnings.push(text),
  });
  return { environment: { [markVariable]: mark }, cgroup, leftovers };
}

/** True where this user may make a cgroup: root, or in a delegated one. */
export const mayMakeCgroup = ((): boolean => {
  const cgroup = Cgroup.make("f".repeat(24));
  cgroup?.remove();
  return cgroup !== undefined;
})();
