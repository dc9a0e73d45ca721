import { expect, test } from "bun:test";
import { BoundedLog } from "../../src/runtime/bounded-log.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

function boundedLog() {
  const lines: string[] = [];
  const clock = new ManualClock();
  const say = (what: string, fields: object = {}): void => void lines.push(`${what} ${JSON.stringify(fields)}`);
  const log = new BoundedLog({ info: say, warn: say, error: say }, clock);
  return { clock, lines, log };
}

test("a few warnings are logged one by one", () => {
  const { lines, log } = boundedLog();
  log.warn("refused", { from: "10.0.0.1" });
  expect(lines).toEqual(['refused {"from":"10.0.0.1"}']);
});

test("a flood is logged as a number when its window is over, and later warnings one by one again", () => {
  const { clock, lines, log } = boundedLog();
  for (let number = 0; number < 1_000; number++) log.warn("refused", { number });
  expect(lines.length).toBe(10);
  clock.advance(10_000);
  expect(lines.at(-1)).toBe('more messages of this kind were suppressed {"count":990,"seconds":10}');
  log.warn("refused", { number: 1_000 });
  expect(lines.at(-1)).toBe('refused {"number":1000}');
});

test("the rest is logged at the end, and no timer stays", () => {
  const { clock, lines, log } = boundedLog();
  for (let number = 0; number < 11; number++) log.warn("refused", { number });
  log.close();
  expect(lines.at(-1)).toBe('more messages of this kind were suppressed {"count":1,"seconds":10}');
  expect(clock.timers).toBe(0);
});
