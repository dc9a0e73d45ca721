/**
 * Durations and sizes as people write them: a number with a unit, never a bare number, because readers disagree whether
 * `timeout = 5` means seconds or milliseconds.
 */
export type UnitResult = { readonly kind: "ok"; readonly value: number } | { readonly kind: "malformed" };

const durationUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnitsBytes: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

export const durationAccepted = 'a duration with its unit (ms, s, m, h or d), for example "250ms", "1s", "5m"';
export const sizeAccepted = 'a size with its unit (B, KiB, MiB, GiB or TiB), for example "64KiB", "4MiB"';

/** Regular expressions of the same, for editors. */
export const durationPattern = patternOf(durationUnitsMs);
export const sizePattern = patternOf(sizeUnitsBytes);

function patternOf(units: Readonly<Record<string, number>>): string {
  return `^[0-9]{1,15}(\\.[0-9]{1,6})?(${Object.keys(units).join("|")})$`;
}

/** Parses `"250ms"`, `"1.5s"`, `"5m"` to whole milliseconds. */
export function parseDuration(text: string): UnitResult {
  return parseWithUnit(text, durationUnitsMs);
}

/** Parses `"64KiB"`, `"4MiB"` to whole bytes. Units are powers of 1024. */
export function parseSize(text: string): UnitResult {
  return parseWithUnit(text, sizeUnitsBytes);
}

function parseWithUnit(text: string, units: Readonly<Record<string, number>>): UnitResult {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)([A-Za-z]{1,3})$/.exec(text);
  const unit = match?.[2] === undefined || !Object.hasOwn(units, match[2]) ? undefined : units[match[2]];
  if (match?.[1] === undefined || unit === undefined) return { kind: "malformed" };
  const value = Math.round(Number(match[1]) * unit * 1e6) / 1e6;
  return Number.isSafeInteger(value) ? { kind: "ok", value } : { kind: "malformed" };
}

/** Returns the shortest exact form: 1500 is `1500ms`, 300000 is `5m`. */
export const formatDuration = (ms: number): string => formatWithUnit(ms, durationUnitsMs);

/** Returns the shortest exact form: 65536 is `64KiB`. */
export const formatSize = (bytes: number): string => formatWithUnit(bytes, sizeUnitsBytes);

function formatWithUnit(value: number, units: Readonly<Record<string, number>>): string {
  const fitting = Object.entries(units).filter(([, factor]) => value >= factor && value % factor === 0);
  const [name, factor] = fitting.at(-1) ?? Object.entries(units)[0] ?? ["", 1];
  return `${value / factor}${name}`;
}
