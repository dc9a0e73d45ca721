import { describe, expect, test } from "bun:test";
import { allRules, withoutRule } from "../../../src/core/rules.ts";
import {
  LeftoverError,
  Leftovers,
  type ProcessIdentity,
  type Processes,
  type Reach,
  type Sighting,
} from "../../../src/host/application/leftovers.ts";
import type { Clock } from "../../../src/runtime/clock.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

const one = (pid: number, group = pid): ProcessIdentity => ({ pid, born: String(pid), group });

/** Processes that end at the nth look after they were killed. */
class FakeProcesses implements Processes {
  living: ProcessIdentity[] = [];
  readonly killed: number[] = [];
  readonly signalled: [number, string][] = [];
  readonly reaches: Reach[] = [];
  writing: string[] = [];
  uncertainLooks = 0;
  tidied = 0;
  onKill: (found: readonly ProcessIdentity[]) => void = (found) =>
    void (this.living = this.living.filter((process) => !found.includes(process)));

  ours(reach: Reach): Sighting {
    this.reaches.push(reach);
    return { found: this.living, isCertain: (this.uncertainLooks -= 1) < 0 };
  }
  kill(found: readonly ProcessIdentity[]): void {
    this.killed.push(...found.map(({ pid }) => pid));
    this.onKill(found);
  }
  signal({ pid }: ProcessIdentity, signal: NodeJS.Signals): void {
    this.signalled.push([pid, signal]);
  }
  readonly describe = (pid: number): string => `${pid} (app)`;
  readonly writers = (): Promise<readonly string[]> => Promise.resolve(this.writing);
  readonly lockers = (): readonly string[] => this.writing;
  tidy(): void {
    this.tidied += 1;
  }
}

function leftoversOf(
  living: ProcessIdentity[] = [],
  rules = allRules,
): { leftovers: Leftovers; processes: FakeProcesses; warnings: string[] } {
  const processes = new FakeProcesses();
  processes.living = living;
  const warnings: string[] = [];
  let nowMs = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => nowMs,
    sleep: (delayMs) => Promise.resolve(void (nowMs += delayMs)),
  };
  return {
    leftovers: new Leftovers({ processes, clock, rules, onWarning: (text) => void warnings.push(text) }),
    processes,
    warnings,
  };
}

describe("leftovers", () => {
  test("kills what is left, names what had left the application's group, and looks until nothing is there", async () => {
    const { leftovers, processes, warnings } = leftoversOf([one(10, 10), one(11, 10), one(12)]);
    await leftovers.clear("near", 10);
    expect(processes.killed).toEqual([10, 11, 12]);
    expect(warnings).toEqual(["the application left processes behind; they are killed: 12 (app)"]);
    expect(processes.tidied).toBe(1);
  });

  test("kills a process that was forked while the others were killed", async () => {
    const { leftovers, processes } = leftoversOf([one(10)]);
    let forks = 3;
    processes.onKill = (found) => {
      processes.living = processes.living.filter((process) => !found.includes(process));
      if (forks-- > 0) processes.living.push(one(20 + forks));
    };
    await leftovers.clear("near");
    expect(processes.killed).toEqual([10, 22, 21, 20]);
    expect(processes.living).toEqual([]);
  });

  test("looks again when a look was not certain", async () => {
    const { leftovers, processes } = leftoversOf();
    processes.uncertainLooks = 2;
    await leftovers.clear("near");
    expect([processes.reaches.length, processes.killed.length]).toEqual([3, 0]);
  });

  test("says which process does not end, after a bounded time", async () => {
    const { leftovers, processes } = leftoversOf([one(10)]);
    processes.onKill = () => undefined;
    await expect(leftovers.clear("near")).rejects.toThrow(/still, 5000 ms after they were killed: 10 \(app\)/);
    expect(processes.tidied).toBe(0);
  });

  test("refuses to continue while another process writes to the databases, and kills no process for it", async () => {
    const { leftovers, processes } = leftoversOf();
    processes.writing = ["process 7 (sqlite3 notes.db) has /data/notes.db open for writing"];
    await expect(leftovers.ensureNone()).rejects.toBeInstanceOf(LeftoverError);
    expect(leftovers.obstacle(["notes.db"])).toStartWith(
      "process 7 (sqlite3 notes.db) has /data/notes.db open for writing (end it",
    );
    expect(processes.killed).toEqual([]);
    expect(processes.reaches).toEqual(["everywhere"]);
  });

  test("gives the stop signal to what the group's signal does not reach", () => {
    const { leftovers, processes } = leftoversOf([one(10, 10), one(12)]);
    leftovers.signalEscaped("SIGTERM", 10);
    expect(processes.signalled).toEqual([[12, "SIGTERM"]]);
  });

  test("leaves everything alive without its rule", async () => {
    const { leftovers, processes } = leftoversOf([one(12)], withoutRule("no-leftovers"));
    await leftovers.clear("near");
    expect(processes.living.length).toBe(1);
  });
});
