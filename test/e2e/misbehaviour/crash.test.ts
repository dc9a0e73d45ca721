/** A request that ends the application: it does so at most twice, costs no host, and the other clients are answered. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { systemClock } from "../../../src/runtime/clock.ts";
import { Beside, Stage } from "./stage.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

/** So long many clients ask for what ends the application; `bun run proof:crash` is the same for a minute. */
const crashersForMs = 6_000;
const answersAfterwards = 100;

let stage: Stage;
afterEach(() => stage.close());

test("one request that ends the application is executed at most twice, no host is lost, and all other clients are answered", async () => {
  stage = await Stage.open();
  const epoch = await stage.epoch();
  const beside = new Beside(stage);
  await stage.until("clients beside", () => beside.answered > 50);

  const answer = await stage.ask("GET", "/crash");
  const after = beside.answered;
  await stage.until("clients to be answered afterwards", () => beside.answered > after + answersAfterwards);
  await beside.stop();

  expect(stage.executions("/crash")).toBeLessThanOrEqual(2);
  expect([answer.status, answer.headers["stead-outcome"]]).toEqual([502, "unknown"]);
  expect(beside.failures).toEqual([]);
  await stage.expectNoHostLost();
  expect(await stage.epoch()).toBe(epoch);
});

test("twenty clients that repeat it end the application at most twice, and all other clients are answered", async () => {
  stage = await Stage.open();
  const epoch = await stage.epoch();
  const beside = new Beside(stage);
  await stage.until("clients beside", () => beside.answered > 50);

  const until = systemClock.now() + crashersForMs;
  const answers: number[] = [];
  const reasons = new Set<string>();
  const crasher = async (): Promise<void> => {
    while (systemClock.now() < until) {
      const { status, text } = await stage.ask("GET", "/crash");
      answers.push(status);
      if (status === 503) reasons.add(/suspect_request/.exec(text)?.[0] ?? text);
      await systemClock.sleep(50);
    }
  };
  await Promise.all(Array.from({ length: 20 }, crasher));
  const after = beside.answered;
  await stage.until("clients to be answered afterwards", () => beside.answered > after + answersAfterwards);
  await beside.stop();

  expect(stage.starts - 1).toBeLessThanOrEqual(2);
  expect(answers.filter((status) => status !== 502 && status !== 503)).toEqual([]);
  expect([...reasons]).toEqual(["suspect_request"]);
  expect(beside.failures).toEqual([]);
  await stage.expectNoHostLost();
  expect(await stage.epoch()).toBe(epoch);
});
