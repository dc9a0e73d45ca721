import { describe, expect, test } from "bun:test";
import { allRules } from "../../../src/core/rules.ts";
import { GatewayWatch, unwatchedMsMax } from "../../../src/host/control/gateway-watch.ts";
import { Warnings } from "../../../src/host/ports/warnings.ts";
import type { Clock } from "../../../src/runtime/clock.ts";

/** Time passes when the test says so, and timers that are due then fire. */
class ManualClock implements Clock {
  #now = 0;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];
  now = (): number => this.#now;
  wallTime = (): number => this.#now;
  setTimer: Clock["setTimer"] = (delayMs, callback) => {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  };
  sleep = (): Promise<void> => Promise.reject(new Error("nothing sleeps here"));
  pass(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = until;
  }
}

function watched(): { watch: GatewayWatch; clock: ManualClock; warnings: Warnings } {
  const clock = new ManualClock();
  const warnings = new Warnings(
    { info: () => undefined, warn: () => undefined, error: () => undefined },
    () => undefined,
  );
  const watch = new GatewayWatch({
    clock,
    warnings,
    host: "app1",
    controlUrl: "http://10.0.0.11:7701",
    rules: allRules,
  });
  watch.start();
  return { watch, clock, warnings };
}

describe("a host that no gateway watches", () => {
  test("says so after half a minute, and what to do", () => {
    const { clock, warnings } = watched();
    clock.pass(unwatchedMsMax - 1);
    expect(warnings.texts).toEqual([]);
    clock.pass(1);
    expect(warnings.texts).toEqual([expect.stringContaining("no gateway watches this host")]);
    expect(warnings.texts[0]).toContain("`stead hosts add app1 http://10.0.0.11:7701`");
  });

  test("counts from the end of the last stream, however many there were", () => {
    const { watch, clock, warnings } = watched();
    const [first, second] = [watch.watchedBy("gw1"), watch.watchedBy("gw2")];
    clock.pass(10 * unwatchedMsMax);
    first();
    clock.pass(10 * unwatchedMsMax);
    expect(warnings.texts).toEqual([]);
    second();
    clock.pass(unwatchedMsMax - 1);
    expect(warnings.texts).toEqual([]);
    clock.pass(1);
    expect(warnings.texts.length).toBe(1);
    watch.watchedBy("gw1");
    expect(warnings.texts).toEqual([]);
  });

  test("says nothing of it any more when it ends", () => {
    const { watch, clock, warnings } = watched();
    watch.close();
    clock.pass(10 * unwatchedMsMax);
    expect(warnings.texts).toEqual([]);
  });
});

describe("a host that was removed from the registry", () => {
  test("warns at once, with the gateways that removed it, until each of them watches it again", () => {
    const { watch, warnings } = watched();
    const leave = watch.watchedBy("gw1");
    watch.removedBy("gw1");
    leave();
    watch.removedBy("gw2");
    expect(warnings.texts).toEqual([
      expect.stringContaining("removed from the registry of gateway gw1 at 1970-01-01T00:00:00.000Z, gateway gw2 at"),
    ]);
    watch.watchedBy("gw1");
    expect(warnings.texts).toEqual([expect.stringMatching(/^removed from the registry of gateway gw2 at/)]);
    watch.watchedBy("gw2");
    expect(warnings.texts).toEqual([]);
  });

  test("believes a gateway that does not say who it is that it is watched", () => {
    const { watch, warnings } = watched();
    watch.removedBy("gw1");
    watch.watchedBy(undefined);
    expect(warnings.texts).toEqual([]);
  });
});
