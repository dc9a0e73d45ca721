import { expect, test } from "bun:test";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.ts";

test("a duration is a number and a unit, and comes out in milliseconds", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["250ms", 250],
    ["1s", 1000],
    ["1.5s", 1500],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["0s", 0],
  ];
  for (const [text, value] of cases) expect(parseDuration(text)).toEqual({ kind: "ok", value });
});

test("a size is a number and a unit of 1024, and comes out in bytes", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["1B", 1],
    ["64KiB", 65_536],
    ["4MiB", 4_194_304],
    ["1.5GiB", 1_610_612_736],
  ];
  for (const [text, value] of cases) expect(parseSize(text)).toEqual({ kind: "ok", value });
});

test("a text without a unit, or with a wrong one, a sign, a space or a fraction of the smallest unit, is malformed", () => {
  for (const text of [
    "",
    "5",
    "s",
    "-1s",
    "+1s",
    "1 s",
    "1sec",
    "1S",
    "1e3s",
    ".5s",
    "1.s",
    "0.5ms",
    "1toString",
    "1_0s",
    "٣s",
    "99999999999999999s",
  ]) {
    expect(parseDuration(text)).toEqual({ kind: "malformed" });
  }
  for (const text of ["1KB", "1kib", "1MB", "1M", "0.3B", "1", "1MiBs"])
    expect(parseSize(text)).toEqual({ kind: "malformed" });
});

test("a formatted value reads back as the same value", () => {
  for (const ms of [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000])
    expect(parseDuration(formatDuration(ms))).toEqual({ kind: "ok", value: ms });
  for (const bytes of [0, 1, 1023, 1024, 65_536, 1_048_577, 2 ** 40])
    expect(parseSize(formatSize(bytes))).toEqual({ kind: "ok", value: bytes });
});
