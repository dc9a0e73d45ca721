/**
 * When something planned is due, for example a drill: every week or every day at a time, in UTC, so that no change of
 * clocks skips or doubles one.
 */

/** `weekday`: 0 is Sunday; undefined: every day. `minute`: of the day. */
export interface DueTime {
  readonly weekday: number | undefined;
  readonly minute: number;
}

const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
export const dueTimePattern = /^(?:(Sun|Mon|Tue|Wed|Thu|Fri|Sat) )?([01]\d|2[0-3]):([0-5]\d)$/;
const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** Undefined: it does not match the pattern. */
export function parseDueTime(text: string): DueTime | undefined {
  const found = dueTimePattern.exec(text);
  if (found === null) return undefined;
  const weekday = weekdays.findIndex((name) => name === found[1]);
  return { weekday: weekday < 0 ? undefined : weekday, minute: Number(found[2]) * 60 + Number(found[3]) };
}

const twoDigits = (number: number): string => String(number).padStart(2, "0");

export function formatDueTime({ weekday, minute }: DueTime): string {
  const time = `${twoDigits(Math.floor(minute / 60))}:${twoDigits(minute % 60)}`;
  const name = weekday === undefined ? undefined : weekdays[weekday];
  return name === undefined ? time : `${name} ${time}`;
}

/** Returns the newest due time that is not after `wallTimeMs`. */
export function lastDue({ weekday, minute }: DueTime, wallTimeMs: number): number {
  const today = Math.floor(wallTimeMs / dayMs) * dayMs;
  const candidates = Array.from({ length: 8 }, (_, days) => today - days * dayMs + minute * minuteMs);
  const due = candidates.find((at) => at <= wallTimeMs && (weekday === undefined || weekdayOf(at) === weekday));
  if (due === undefined) throw new Error("every eight days have each weekday");
  return due;
}

/** 1970 began on a Thursday. */
const weekdayOf = (at: number): number => (Math.floor(at / dayMs) + weekdays.indexOf("Thu")) % weekdays.length;

export const nextDue = (time: DueTime, wallTimeMs: number): number =>
  lastDue(time, wallTimeMs + (time.weekday === undefined ? 1 : 7) * dayMs);
