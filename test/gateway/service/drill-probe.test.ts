import { describe, expect, test } from "bun:test";
import { type CallProbe, DrillProbe } from "../../../src/gateway/service/drill-probe.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const config = {
  url: "http://notes/probes/{token}",
  method: "PUT" as const,
  body: '{"text":"{token}"}',
  headers: { authorization: "Bearer t" },
  read: "http://notes/probes/{token}",
};

/** An application that keeps what it is given, in memory. */
class Application {
  readonly kept = new Map<string, string>();
  readonly clock = new ManualClock();
  writes = 0;
  isDown = false;
  readonly call: CallProbe = ({ url, method, body, headers }) => {
    if (headers["authorization"] !== "Bearer t") return Promise.resolve({ status: 401, text: "" });
    if (this.isDown) return Promise.resolve({ status: 503, text: "" });
    if (method === "PUT") {
      this.writes++;
      this.kept.set(url, body ?? "");
    }
    return Promise.resolve({ status: this.kept.has(url) ? 200 : 404, text: this.kept.get(url) ?? "" });
  };

  readonly probe = new DrillProbe(config, "d1", { clock: this.clock, call: this.call });

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      this.clock.advance(100);
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    }
  }

  async finish(): ReturnType<DrillProbe["close"]> {
    const finished = this.probe.close();
    await this.pass(2_000);
    return finished;
  }
}

describe("the probe of a drill", () => {
  test("writes until the service is back, and finds every acknowledged write again", async () => {
    const application = new Application();
    expect(await application.probe.begin()).toBeUndefined();
    await application.pass(1_000);
    application.isDown = true;
    await application.pass(1_000);
    application.isDown = false;
    await application.pass(1_000);
    expect(application.writes).toBeGreaterThan(8);
    expect(await application.finish()).toEqual({ writes: application.writes, lost: 0, unread: 0, rpoMs: 0 });
  });

  test("says how much was lost, from the oldest lost write to the last one that was acknowledged", async () => {
    const application = new Application();
    await application.probe.begin();
    await application.pass(1_000);
    const [, , third] = [...application.kept.keys()];
    application.kept.delete(third ?? "");
    expect(await application.finish()).toEqual({ writes: 6, lost: 1, unread: 0, rpoMs: 600 });
  });

  test("says nothing about writes that cannot be read back", async () => {
    const application = new Application();
    await application.probe.begin();
    application.isDown = true;
    expect(await application.finish()).toEqual({ writes: 1, lost: 0, unread: 1, rpoMs: undefined });
  });

  test("refuses to begin where nothing is acknowledged, or what was written cannot be read", async () => {
    const application = new Application();
    application.isDown = true;
    expect(await application.probe.begin()).toContain("answered with 503");
    const elsewhere = { ...config, read: "http://notes/list" };
    const deaf = new DrillProbe(elsewhere, "d2", { clock: application.clock, call: application.call });
    application.isDown = false;
    expect(await deaf.begin()).toContain("not in the answer of http://notes/list");
  });
});
