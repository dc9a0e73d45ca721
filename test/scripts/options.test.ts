import { expect, test } from "bun:test";
import {
  numberWithin,
  oneOf,
  OptionError,
  parseOptions,
  wholeNumber,
  requirePrograms,
} from "../../scripts/lib/options.ts";

const options = { seeds: { type: "string", default: "30" }, json: { type: "boolean", default: false } } as const;

function refusalOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof OptionError) return `${error.message}; accepted: ${error.accepted}`;
    throw error;
  }
  return "none";
}

test("options are read with their defaults", () => {
  expect(parseOptions(["--seeds", "7"], options)).toEqual({ seeds: "7", json: false });
  expect(parseOptions([], options)).toEqual({ seeds: "30", json: false });
});

test("an option that there is not, one without its value, and a word beside them are refused with those that are accepted", () => {
  const accepted = "accepted: --seeds VALUE, --json";
  expect(refusalOf(() => parseOptions(["--help"], options))).toBe(`found Unknown option '--help'; ${accepted}`);
  expect(refusalOf(() => parseOptions(["--seeds"], options))).toContain(accepted);
  expect(refusalOf(() => parseOptions(["seven"], options))).toContain(accepted);
});

test("numbers and words outside of what is accepted are refused", () => {
  expect(wholeNumber("seeds", "12", 1)).toBe(12);
  expect(numberWithin("minutes", "0.5", 0.1, 2)).toBe(0.5);
  expect(oneOf("log", "segments", ["objects", "segments"])).toBe("segments");
  expect(refusalOf(() => wholeNumber("seeds", "1.5", 1))).toBe(
    "found --seeds 1.5; accepted: a whole number of at least 1",
  );
  expect(refusalOf(() => wholeNumber("seeds", "", 0))).toBe("found --seeds ; accepted: a whole number of at least 0");
  expect(refusalOf(() => wholeNumber("hosts", "9", 1, 5))).toBe(
    "found --hosts 9; accepted: a whole number from 1 to 5",
  );
  expect(refusalOf(() => numberWithin("minutes", "x", 0, 2))).toBe("found --minutes x; accepted: a number from 0 to 2");
  expect(refusalOf(() => oneOf("log", "x", ["objects", "segments"]))).toBe(
    "found --log x; accepted: objects, segments",
  );
});

test("a program that is not here is named with the package that brings it", () => {
  expect(() => requirePrograms({ sh: "dash" })).not.toThrow();
  expect(() => requirePrograms({ sh: "dash", "no-such-program": "its-package" })).toThrow("no no-such-program");
});
