import { expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { defaultHttpLimits } from "../../../src/http/limits.ts";
import { readResponse } from "../../../src/http/message/read-response.ts";
import {
  mayWait,
  restMs,
  WholeAnswers,
  waitingBytesMax,
  type PartialAnswer,
} from "../../../src/http/upstream/whole-answers.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

function head(fields: string, { method = "GET", status = 200 } = {}) {
  const bytes = Buffer.from(`HTTP/1.1 ${status} X\r\n${fields}\r\n`);
  const read = readResponse(bytes, 0, bytes.length, method, defaultHttpLimits);
  if (read === undefined) throw new Error("the head is not complete");
  return read.response;
}

test("an answer waits for its rest only if it says its length, up to the bound, and is no stream", () => {
  expect(mayWait(head("Content-Length: 10\r\n"), 10)).toBe(true);
  expect(mayWait(head("Content-Length: 11\r\n"), 10)).toBe(false);
  expect(mayWait(head("Content-Length: 10\r\n", { status: 404 }), 10)).toBe(true);
  expect(mayWait(head("Content-Length: 10\r\nContent-Type: text/event-stream\r\n"), 10)).toBe(false);
  expect(mayWait(head("Transfer-Encoding: chunked\r\n"), 10)).toBe(false);
  expect(mayWait(head(""), 10)).toBe(false);
  for (const how of [{ method: "HEAD" }, { status: 304 }])
    expect(mayWait(head("Content-Length: 10\r\n", how), 10)).toBe(false);
});

function answers(bytesMax: number) {
  const clock = new ManualClock();
  const late: string[] = [];
  const whole = new WholeAnswers({ bytesMax, clock });
  return {
    clock,
    late,
    whole,
    begin(name: string, bytes: number): { waits: boolean; answer: PartialAnswer } {
      const answer = { onRestLate: () => late.push(name) };
      return { answer, waits: whole.begin(answer, head(`Content-Length: ${bytes}\r\n`), bytes) };
    },
  };
}

test("each answer waits for its own time, an ended one is not told, and no timer is left behind", () => {
  const { clock, late, whole, begin } = answers(100);
  begin("first", 1);
  clock.advance(restMs / 2);
  const second = begin("second", 1);
  begin("third", 1);
  clock.advance(restMs / 2);
  expect(late).toEqual(["first"]);
  whole.end(second.answer);
  clock.advance(restMs / 2);
  expect(late).toEqual(["first", "third"]);
  expect(clock.timers).toBe(0);
  whole.end(begin("fourth", 1).answer);
  expect(clock.timers).toBe(0);
});

test("beyond the bound of all together an answer passes as it comes, until others have ended", () => {
  const { clock, whole, begin } = answers(waitingBytesMax);
  const first = begin("first", waitingBytesMax - 1);
  expect(begin("second", 2).waits).toBe(false);
  expect(begin("third", 1).waits).toBe(true);
  whole.end(first.answer);
  expect(begin("fourth", 2).waits).toBe(true);
  clock.advance(restMs);
  expect(begin("fifth", waitingBytesMax).waits).toBe(true);
});
