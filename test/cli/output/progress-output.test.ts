import { expect, test } from "bun:test";
import { ProgressOutput } from "../../../src/cli/output/progress-output.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const mebibyte = 1024 ** 2;

function setUp({ isTTY = false, isJson = false, columns = 80 } = {}) {
  const written: string[] = [];
  const clock = new ManualClock();
  const stream = { isTTY, columns, write: (text: string) => void written.push(text) };
  const output = new ProgressOutput({ stream, isJson, clock });
  const after = (ms: number, what: string, done: number, total = 100 * mebibyte): void => {
    clock.advance(ms);
    output.reached(what, done, total);
  };
  return { written, clock, output, after };
}

test("in a log there is a line every five seconds, and none at the end", () => {
  const { written, after, output } = setUp();
  after(0, "copying", 0);
  after(4_999, "copying", 10 * mebibyte);
  after(1, "copying", 20 * mebibyte);
  after(1_000, "copying", 24 * mebibyte);
  after(60_000, "copying", 100 * mebibyte);
  output.close();
  expect(written).toEqual(["stead: copying: 20 MiB of 100 MiB, 4.0 MiB/s, about 20 s left\n"]);
});

test("on a terminal one line is written again, no longer than the terminal is wide, and goes in the end", () => {
  const { written, after, output } = setUp({ isTTY: true, columns: 40 });
  after(0, "copying", 0);
  after(200, "copying", mebibyte);
  after(100, "copying", 2 * mebibyte);
  after(100, "copying", 2 * mebibyte);
  output.close();
  output.close();
  expect(written).toEqual([
    "\rstead: copying: 1.0 MiB of 100 MiB, 5.…\u001b[K",
    "\rstead: copying: 2.0 MiB of 100 MiB, 5.…\u001b[K",
    "\r\u001b[K",
  ]);
  expect(written[0]?.slice(1).indexOf("\u001b")).toBe(39);
});

test("with --json each report is an object on a line of its own, also on a terminal", () => {
  const { written, after, output } = setUp({ isTTY: true, isJson: true });
  after(0, "copying", 0);
  after(5_000, "copying", 50 * mebibyte);
  output.close();
  expect(written.map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      ...{ progress: "copying", unit: "bytes", done: 50 * mebibyte, total: 100 * mebibyte },
      ...{ perSecond: 10 * mebibyte, leftMs: 5_000 },
    },
  ]);
});

test("each stage has a rate of its own", () => {
  const { written, after, output, clock } = setUp();
  after(0, "copying", 0);
  after(100_000, "copying", 99 * mebibyte);
  output.reached("checking", 0, 100, "records");
  clock.advance(10_000);
  output.reached("checking", 20, 100, "records");
  expect(written.at(-1)).toBe("stead: checking: 20 of 100 records, 2 records/s, about 40 s left\n");
});
