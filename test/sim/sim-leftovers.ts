/**
 * Processes that an application starts and that leave its group: they outlive the application, and its host. The real
 * `Leftovers` looks for them here; one that is alive while its host follows is what must never be.
 */
import type { ProcessIdentity, Processes, Sighting } from "../../src/host/application/leftovers.ts";
import { hostOf } from "./sim-host.ts";
import type { SimMachine } from "./sim-machine.ts";
import { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

/** A background job wakes up so often. */
const jobEveryMs = 100;

/** Starts one on the machine; `onWrong` hears of it when it works on files that are not the application's any more. */
export function escape(world: World, machine: SimMachine, onWrong: (what: string) => void): void {
  const process = new SimProcess(world, `${machine.name}.job`, machine.clock);
  machine.escaped.add(process);
  process.whenDead(() => machine.escaped.delete(process));
  const work = (): void => {
    if (process.isDead) return;
    const host = machine.process;
    if (host?.state === "running" && hostOf(host)?.host.status().role === "secondary")
      onWrong(`a process of the application of ${machine.name} lives on while its host follows`);
    world.after(jobEveryMs, "background job", work);
  };
  world.after(jobEveryMs, "background job", work);
}

export class SimProcesses implements Processes {
  readonly #machine: SimMachine;

  constructor(machine: SimMachine) {
    this.#machine = machine;
  }

  ours(): Sighting {
    return {
      found: [...this.#machine.escaped].map((_, index) => ({ pid: index + 1, born: "", group: 0 })),
      isCertain: true,
    };
  }

  kill(found: readonly ProcessIdentity[]): void {
    const escaped = [...this.#machine.escaped];
    for (const { pid } of found) escaped[pid - 1]?.kill("crash");
  }

  signal(): void {
    // A background job does not hear of it.
  }

  describe(pid: number): string {
    return `${pid} (job)`;
  }

  writers(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  lockers(): readonly string[] {
    return [];
  }

  tidy(): void {
    // Nothing is kept.
  }
}
