import { expect, test } from "bun:test";
import type { Section } from "../../../src/core/flush.ts";
import { recordSectionsMax, sectionKindBytesMax } from "../../../src/vault/limits.ts";
import { sectionsLength } from "../../../src/vault/log/section-codec.ts";

const section = (kind: string): Section => ({ kind, isRequired: false, content: new Uint8Array(0) });
const sections = (count: number): Section[] => Array.from({ length: count }, (_, at) => section(`kind-${at}`));

test("a record takes as many sections as are allowed, and not one more", () => {
  expect(sectionsLength(0, sections(recordSectionsMax))).toBeGreaterThan(0);
  expect(() => sectionsLength(0, sections(recordSectionsMax + 1))).toThrow("sections in one record");
});

test("a kind has 1 to as many bytes as are allowed, and occurs once", () => {
  expect(sectionsLength(0, [section("k".repeat(sectionKindBytesMax))])).toBeGreaterThan(0);
  for (const kind of ["", "k".repeat(sectionKindBytesMax + 1), "K", "body"])
    expect(() => sectionsLength(0, [section(kind)])).toThrow(RangeError);
  expect(() => sectionsLength(0, [section("a"), section("a")])).toThrow(RangeError);
});
