import { expect, test } from "bun:test";
import { type Rewound, rewoundOf, rewoundSection } from "../../../src/vault/log/rewound-section.ts";

const name = (count: number) => ({ run: "00000000000000aa", count });
const rewound: Rewound = {
  ...{ to: 2 ** 40 + 1, toMs: 1_700_000_000_000.5, undoneTo: 2 ** 40 + 9 },
  requests: { isComplete: true, undone: [name(1), name(2 ** 40)], unanswered: [name(3)], restored: [] },
};

test("is read as it was written", () => {
  expect(rewoundOf([rewoundSection(rewound)])).toEqual(rewound);
  const left = { ...rewound, requests: { isComplete: false, undone: [], unanswered: [], restored: [] } };
  expect(rewoundOf([rewoundSection(left)])).toEqual(left);
  expect(rewoundOf([])).toBeUndefined();
});

test("must be understood only where requests come back", () => {
  expect(rewoundSection(rewound).isRequired).toBe(false);
  const requests = { ...rewound.requests, restored: [name(4)] };
  expect(rewoundSection({ ...rewound, requests }).isRequired).toBe(true);
});

test("that is damaged is none, wherever it is cut off", () => {
  const section = rewoundSection(rewound);
  for (let length = 0; length < section.content.byteLength; length += 1)
    expect(rewoundOf([{ ...section, content: section.content.subarray(0, length) }])).toBeUndefined();
});
