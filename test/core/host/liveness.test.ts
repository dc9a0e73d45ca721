import { describe, expect, test } from "bun:test";
import {
  type CheckResult,
  initialLiveness,
  type LivenessSettings,
  type LivenessState,
  lookMs,
  refusedPatienceMsMax,
  stepLiveness,
  type Vitals,
  wantsVitals,
} from "../../../src/core/host/liveness.ts";
import { allRules, type Rules, withoutRule } from "../../../src/core/rules.ts";

const settings: LivenessSettings = { intervalMs: 1_000, timeoutMs: 2_000, patienceMs: 10_000 };
const atRest: Vitals = { traffic: 7, commits: 3, cpuMs: 5_000, isRunnable: false, openRequests: 1 };

/** What an application does at `atMs` of a story; `undefined`: it does not answer the check. */
interface Story {
  answer(atMs: number): CheckResult | undefined;
  vitals(atMs: number): Vitals;
  /** Milliseconds that pass after `atMs` until the host looks again. */
  lookAfterMs?(atMs: number): number;
}

interface Told {
  readonly atMs: number;
  readonly state: LivenessState["kind"];
}

/** Every change of state until `untilMs`, or until it is stuck. */
function tell(
  story: Story,
  untilMs: number,
  changes: Partial<LivenessSettings> = {},
  rules: Rules = allRules,
): { told: Told[]; state: LivenessState; checks: number; abandoned: number } {
  const told: Told[] = [];
  const all = { ...settings, ...changes };
  let state = initialLiveness(0);
  let checks = 0;
  let abandoned = 0;
  for (let now = 0; now < untilMs && state.kind !== "stuck"; ) {
    now += story.lookAfterMs?.(now) ?? lookMs;
    const looked = stepLiveness(
      state,
      { kind: "looked", vitals: wantsVitals(state) ? story.vitals(now) : undefined },
      now,
      all,
      rules,
    );
    let next = looked.state;
    for (const effect of looked.effects) {
      if (effect.kind === "abandon-check") abandoned += 1;
      if (effect.kind !== "check") continue;
      checks += 1;
      const result = story.answer(now);
      if (result !== undefined) next = stepLiveness(next, { kind: "checked", result }, now + 1, all, rules).state;
    }
    if (next.kind !== state.kind) told.push({ atMs: now, state: next.kind });
    state = next;
  }
  return { told, state, checks, abandoned };
}

const well: CheckResult = { kind: "well" };
const unwell: CheckResult = { kind: "unwell", detail: "GET /health answered 503" };
const silent: CheckResult = { kind: "silent", detail: "closed without an answer" };
const refused: CheckResult = { kind: "refused", detail: "refused" };
const hangsAt =
  (fromMs: number) =>
  (atMs: number): CheckResult | undefined =>
    atMs < fromMs ? well : undefined;
const hour = 3_600_000;

/** Vitals in which something differs at each look. */
const moving =
  (change: (atMs: number) => Partial<Vitals>) =>
  (atMs: number): Vitals => ({ ...atRest, ...change(atMs) });

describe("an application that does not answer its check", () => {
  test.each<[string, (atMs: number) => Vitals]>([
    ["sends parts of an answer, one in five seconds", moving((atMs) => ({ traffic: Math.floor(atMs / 5_000) }))],
    ["commits every nine seconds", moving((atMs) => ({ commits: Math.floor(atMs / 9_000) }))],
    ["burns a processor", moving((atMs) => ({ cpuMs: atMs }))],
    ["gets a fiftieth of a processor", moving((atMs) => ({ cpuMs: atMs / 50 }))],
    ["is ready to run, and the machine is too busy to let it", moving(() => ({ isRunnable: true }))],
    ["runs where the host cannot see whether it does anything", moving(() => ({ cpuMs: undefined }))],
  ])("is failing for an hour and never stuck while it %s", (_, vitals) => {
    const { told } = tell({ answer: hangsAt(5_000), vitals }, hour);
    expect(told.map(({ state }) => state)).toEqual(["failing"]);
  });

  test("is stuck when nothing moved for the whole patience", () => {
    const { told } = tell({ answer: hangsAt(5_000), vitals: () => atRest }, hour);
    const [failing, stuck] = told;
    expect(told.map(({ state }) => state)).toEqual(["failing", "stuck"]);
    // Asked when it hangs, late after the timeout; the patience counts from the first look after the question.
    expect([failing?.atMs, stuck?.atMs]).toEqual([7_000, 15_100]);
  });

  test("is stuck even when its runtime is active: timers, a garbage collector", () => {
    const { told } = tell({ answer: hangsAt(5_000), vitals: moving((atMs) => ({ cpuMs: atMs / 200 })) }, hour);
    expect(told.map(({ state }) => state)).toEqual(["failing", "stuck"]);
  });

  test("is stuck a patience after the last thing that moved, not after the first check that failed", () => {
    const { told } = tell(
      { answer: hangsAt(5_000), vitals: moving((atMs) => ({ traffic: Math.min(atMs, 60_000) })) },
      hour,
    );
    expect(told.at(-1)).toEqual({ atMs: 70_000, state: "stuck" });
  });

  test("is stuck when it takes connections and closes them without an answer", () => {
    const { told, abandoned } = tell({ answer: (atMs) => (atMs < 5_000 ? well : silent), vitals: () => atRest }, hour);
    expect(told.map(({ state }) => state)).toEqual(["failing", "stuck"]);
    expect(abandoned).toBe(1); // By the order that comes with being stuck.
  });

  test("is never stuck when patience is off", () => {
    const { told } = tell({ answer: hangsAt(5_000), vitals: () => atRest }, hour, { patienceMs: undefined });
    expect(told.map(({ state }) => state)).toEqual(["failing"]);
  });

  test("is stuck within little more than a short patience", () => {
    const short = { intervalMs: 250, timeoutMs: 1_000, patienceMs: 1_000 };
    const { told } = tell({ answer: hangsAt(5_000), vitals: () => atRest }, hour, short);
    expect((told.at(-1)?.atMs ?? 0) - 5_000).toBeLessThanOrEqual(short.patienceMs + short.intervalMs + 2 * lookMs);
  });

  test("is not stuck after five seconds without any movement: one thread that sleeps", () => {
    const { told } = tell(
      { answer: (atMs) => (atMs > 5_000 && atMs < 10_000 ? undefined : well), vitals: () => atRest },
      60_000,
    );
    expect(told.map(({ state }) => state)).toEqual(["failing", "ready"]);
  });

  test("is stuck while it computes, where the rule that looks at progress is broken", () => {
    const burning = { answer: hangsAt(5_000), vitals: moving((atMs) => ({ cpuMs: atMs })) };
    expect(tell(burning, hour, {}, withoutRule("liveness-progress")).state.kind).toBe("stuck");
  });
});

describe("an application that answers", () => {
  test("with 503 is failing for as long as it does, and never stuck", () => {
    const { told, state } = tell(
      { answer: (atMs) => (atMs < 5_000 ? well : unwell), vitals: () => ({ ...atRest, openRequests: 0 }) },
      hour,
    );
    expect(told.map(({ state: kind }) => kind)).toEqual(["failing"]);
    expect(state).toMatchObject({ detail: "GET /health answered 503" });
  });

  test("and is healthy is looked at no closer, however its counters change", () => {
    let looks = 0;
    const vitals = (): Vitals => ((looks += 1), atRest);
    const { told, checks } = tell({ answer: () => well, vitals }, 60_000);
    expect({ told, checks, looks }).toEqual({ told: [], checks: 60, looks: 0 });
  });

  test("and is healthy again after a while is ready", () => {
    const { told } = tell(
      { answer: (atMs) => (atMs > 5_000 && atMs < 8_000 ? unwell : well), vitals: () => atRest },
      60_000,
    );
    expect(told.map(({ state }) => state)).toEqual(["failing", "ready"]);
  });

  test("and stays in a state has been in it since its first check of that kind", () => {
    const since = (answer: Story["answer"]): number => tell({ answer, vitals: () => atRest }, 20_000).state.since;
    const [first, later] = [since(() => well), since((atMs) => (atMs < 5_000 ? unwell : well))];
    expect(first).toBeLessThan(2 * settings.intervalMs);
    expect(later).toBeGreaterThanOrEqual(5_000);
    expect(later).toBeLessThan(5_000 + 2 * settings.intervalMs);
    const failing = since((atMs) => (atMs < 5_000 ? well : unwell));
    expect(failing).toBeGreaterThanOrEqual(5_000);
    expect(failing).toBeLessThan(5_000 + 2 * settings.intervalMs);
  });
});

describe("an application that has closed its port", () => {
  const closed = (atMs: number): CheckResult => (atMs < 5_000 ? well : refused);

  test("is failing at once, and stuck soon although its process computes: no request is in progress", () => {
    const { told } = tell({ answer: closed, vitals: moving((atMs) => ({ cpuMs: atMs, openRequests: 0 })) }, hour);
    const [failing, stuck] = told;
    expect(told.map(({ state }) => state)).toEqual(["failing", "stuck"]);
    expect((stuck?.atMs ?? 0) - (failing?.atMs ?? 0)).toBe(refusedPatienceMsMax);
  });

  test("is left to finish what it has begun while that moves", () => {
    const finishing = moving((atMs) => ({ cpuMs: Math.min(atMs, 45_000), openRequests: 1 }));
    const { told } = tell({ answer: closed, vitals: finishing }, hour);
    expect(told.at(-1)?.state).toBe("stuck");
    expect(told.at(-1)?.atMs).toBeGreaterThan(45_000);
    expect(told.at(-1)?.atMs).toBeLessThan(45_000 + refusedPatienceMsMax + 1_000);
  });

  test("and opens it again within two seconds is not restarted", () => {
    const { told } = tell(
      {
        answer: (atMs) => (atMs > 5_000 && atMs < 7_000 ? refused : well),
        vitals: () => ({ ...atRest, openRequests: 0 }),
      },
      60_000,
    );
    expect(told.map(({ state }) => state)).toEqual(["failing", "ready"]);
  });
});

describe("time in which the host did not run", () => {
  test("does not use up patience: a day's pause of the machine during a check counts as two checks", () => {
    const day = 24 * hour;
    const answer = (atMs: number): CheckResult | undefined => (atMs > 5_000 && atMs < 7_000 ? undefined : well);
    const { told } = tell(
      { answer, vitals: () => atRest, lookAfterMs: (atMs) => (atMs === 6_000 ? day : lookMs) },
      day + hour,
    );
    expect(told.map(({ state }) => state)).toEqual(["failing", "ready"]);
  });

  test("does not use up patience on a machine that lets the host run once a second", () => {
    const { state } = tell({ answer: hangsAt(0), vitals: () => atRest, lookAfterMs: () => 1_000 }, 30_000);
    expect(state.kind).toBe("failing");
  });

  test("does not use up patience when a check cannot be made at all: the host lacks a resource, not the application", () => {
    const { told } = tell({ answer: () => ({ kind: "unmade", detail: "EMFILE" }), vitals: () => atRest }, hour);
    expect(told).toEqual([]);
  });

  test("does not use up patience while looks come in the same moment, or the clock goes back", () => {
    let { state } = tell({ answer: hangsAt(0), vitals: () => atRest }, 3_000);
    for (let look = 0; look < 2 * (settings.patienceMs ?? 0); look += 1) {
      const now = look % 2 === 0 ? 3_000 - look / 100 : 3_000 - (look - 1) / 100;
      state = stepLiveness(state, { kind: "looked", vitals: atRest }, now, settings, allRules).state;
    }
    expect(state.kind).toBe("failing");
  });
});

describe("an application in which nothing moves", () => {
  const quick = { intervalMs: 100, timeoutMs: 50_000 } as const;
  const at = (story: Story, changes: Partial<LivenessSettings> = quick): Told | undefined =>
    tell(story, hour, changes).told.at(-1);

  test("is well while its checks are answered, however short the patience, and however seldom it is asked", () => {
    expect(tell({ answer: () => well, vitals: () => atRest }, 60_000, { patienceMs: 1 }).told).toEqual([]);
    let state = initialLiveness(0);
    for (let now = lookMs; now < 60_000; now += lookMs)
      state = stepLiveness(
        state,
        { kind: "looked", vitals: atRest },
        now,
        { ...settings, intervalMs: hour },
        allRules,
      ).state;
    expect(state.kind).toBe("ready");
  });

  test("has made progress as long as its CPU time is not known at one of two looks", () => {
    const vitals = moving((now) => ({ cpuMs: now % 200 === 0 ? 0 : undefined }));
    expect(at({ answer: () => undefined, vitals })?.state).toBe("failing");
  });

  test("has made none with as much CPU time as housekeeping takes, and some with more", () => {
    // The patience counts from the look at 200 ms.
    const after = (cpuMs: number) => moving((now) => ({ cpuMs: now <= 200 ? 0 : cpuMs }));
    expect(at({ answer: () => undefined, vitals: after(21) })).toEqual({ atMs: 10_200, state: "stuck" });
    expect(at({ answer: () => undefined, vitals: after(22) })).toEqual({ atMs: 10_300, state: "stuck" });
  });

  test("is stuck when its port has refused connections for exactly as long as it may", () => {
    const story = { answer: () => refused, vitals: () => atRest };
    expect(at(story)).toEqual({ atMs: 200 + refusedPatienceMsMax, state: "stuck" });
    expect(refusedPatienceMsMax).toBe(3_000);
  });
});
