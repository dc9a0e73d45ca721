import { expect, test } from "bun:test";
import { written } from "../../../src/gateway/page/answers.tsx";
import {
  leaseLeft,
  milliseconds,
  pointsOf,
  records,
  requests,
  Sparkline,
  type Figure,
} from "../../../src/gateway/page/sparkline.tsx";

const lease = { name: "Lease", worst: "least", unit: leaseLeft } as const;
const textOf = (figure: Figure): string => {
  const drawn = Sparkline(figure);
  return drawn === null ? "" : written(drawn);
};

test("a point is the worst of a minute, and a minute stays one as samples come", () => {
  const samples = [1, 9, null, 4, 5, 6];
  expect(pointsOf({ samples, taken: 6, worst: "most" })).toEqual([9, 6]);
  expect(pointsOf({ samples, taken: 6, worst: "least" })).toEqual([1, 5]);
  // The oldest sample is gone: the other minute is as it was.
  expect(pointsOf({ samples: [...samples.slice(1), 7], taken: 7, worst: "most" })).toEqual([9, 7]);
  expect(pointsOf({ samples: Array.from({ length: 240 }, () => 1), taken: 302, worst: "most" })).toHaveLength(60);
});

test("says in words what the line shows: latest, least, most, the unit, and of how long it is", () => {
  const text = textOf({ ...lease, samples: [4_000, -300, 4_600], taken: 3 });
  expect(text).toContain('role="img"');
  expect(text).toContain('aria-label="Lease, last 45 s: latest 4.6 s left, least missed by 300 ms, most 4.6 s left"');
  expect(text).toContain('class="missed"');
  expect(text).toContain('class="zero"');
  expect(textOf({ ...lease, samples: [4_000, null], taken: 2 })).toContain("not known now, least 4.0 s left");
  expect(text).toContain(">−300 ms … 4.6 s</small>");
  expect([records.words(1), requests.words(0), milliseconds.words(1.25), milliseconds.words(2_500)]).toEqual([
    ...["1 record", "0 requests", "1.3 ms", "2.5 s"],
  ]);
});

test("begins where the gateway was started, has gaps where nothing was known, and no line without a sample", () => {
  const minutes = [0, 0, 0, 0, 2, 2, 2, 2, null, null, null, null, 4, 4, 4, 4];
  const text = textOf({ name: "Lag", worst: "most", unit: records, samples: minutes, taken: 16 });
  // Four minutes at the right end of sixty; 4 is the top of 16 units, 0 the bottom.
  expect(text).toContain(' d="M56 15h1l1 -7M59 1h1"');
  for (const samples of [[], [null, null]])
    expect(textOf({ name: "Lag", worst: "most", unit: records, samples, taken: 2 })).toBe("");
});
