import { expect, test } from "bun:test";
import { type NamedRequest, RequestNames } from "../../src/core/request-names.ts";
import { UndoneRequests } from "../../src/core/undone-requests.ts";

const run = "00000000000000aa";
const name = (count: number) => ({ run, count });
const request = (count: number): NamedRequest => ({ ...name(count), after: 0, isAgain: true });
const outcome = { kind: "answered", status: 201, bodyBytes: 0, sha256: "0".repeat(64) } as const;

test("requests of flushes that are undone are undone, and answers to earlier ones are forgotten", () => {
  const undone = new UndoneRequests();
  undone.onFlush([name(1), name(2)], [name(1), name(9)], true);
  expect(undone.requests).toEqual({
    ...{ isComplete: true, restored: [] },
    ...{ undone: [name(1), name(2)], unanswered: [name(9)] },
  });
});

test("a rewind that is rewound brings its requests back", () => {
  const undone = new UndoneRequests();
  undone.onRewound({ isComplete: true, undone: [name(1)], unanswered: [], restored: [] });
  undone.onFlush([name(2)], [], true);
  expect(undone.requests).toMatchObject({ undone: [name(2)], restored: [name(1)] });
});

test("one that was executed again after a rewind is as it was before: known", () => {
  const undone = new UndoneRequests();
  undone.onFlush([name(1)], [], true);
  undone.onRewound({ isComplete: true, undone: [name(1)], unanswered: [], restored: [] });
  expect(undone.requests).toMatchObject({ undone: [], restored: [] });
  undone.onFlush([name(1)], [], true);
  expect(undone.requests).toMatchObject({ undone: [name(1)] });
});

test("names that a flush left out leave all as it is known", () => {
  const undone = new UndoneRequests();
  undone.onFlush([name(1)], [], false);
  expect(undone.requests).toEqual({ isComplete: false, undone: [], unanswered: [], restored: [] });
});

test("hosts execute an undone request again, doubt one without its answer, and know one that came back", () => {
  const names = new RequestNames();
  for (const count of [1, 2]) names.onFlush(count, { names: [name(count)], isComplete: true });
  names.onOutcomes(3, [{ name: name(2), outcome }], 0);
  names.onRewound(4, { isComplete: true, undone: [name(1)], unanswered: [name(2)], restored: [name(3)] });
  expect(names.begin(request(1), 4)).toEqual({ kind: "execute" });
  expect(names.begin(request(2), 4)).toEqual({ kind: "in-doubt", why: "named" });
  expect(names.begin(request(3), 4)).toEqual({ kind: "in-doubt", why: "named" });
  const others = new RequestNames();
  others.onFlush(1, { names: [name(1)], isComplete: true });
  others.onRewound(2, { isComplete: false, undone: [name(1)], unanswered: [], restored: [] });
  expect(others.begin(request(1), 4)).toEqual({ kind: "in-doubt", why: "named" });
});
