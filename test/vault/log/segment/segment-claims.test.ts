import { expect, test } from "bun:test";
import { allRules } from "../../../../src/core/rules.ts";
import { Claims } from "../../../../src/vault/log/segment/segment-claims.ts";
import { TermRecords } from "../../../../src/vault/log/segment/term-records.ts";
import { Terms } from "../../../../src/vault/log/segment/terms.ts";
import { MemorySegments } from "../../../../src/vault/store/memory-segments.ts";
import { MemoryStore } from "../../../../src/vault/store/memory-store.ts";
import { JumpingClock, seededRandom } from "../../../support/vault/log-fixture.ts";

test("a claim without a seal is waited for longer, the more claims before it came to nothing", () => {
  const store = new MemoryStore();
  const files = new MemorySegments().of(store);
  const terms = new Terms(store, files);
  const clock = new JumpingClock();
  const ports = { store, files, terms, records: new TermRecords(store, files, terms), rules: allRules };
  const claims = new Claims({ ...ports, clock, random: seededRandom(1) });
  const patience = (number: number, top: number): number => {
    const since = clock.time;
    while (claims.isPatientWith(number, top)) clock.time += 100;
    return clock.time - since;
  };
  expect([patience(3, 2), patience(4, 2), patience(9, 2)]).toEqual([1_000, 2_000, 7_000]);
  // The owner of a term looks for a rival that a seal may have passed.
  expect(patience(10, 12)).toBe(1_000);
});
