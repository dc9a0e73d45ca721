/** `[host.restore_test]`: when a secondary tries whether the vault can be restored, and where. */
import { resolve } from "node:path";
import * as v from "valibot";
import { dueTimePattern, parseDueTime } from "../core/due-time.ts";
import { duration, message, size, table, text } from "./fields.ts";
import type { Problems } from "./problems.ts";
import type { RestoreTestConfig } from "./restore-test-config.ts";

const minute = 60_000;
const day = 24 * 60 * minute;
const KiB = 2 ** 10;
const GiB = 2 ** 30;

const dueTimeMessage = message(
  'a time of the day, or of a weekday, in UTC: "03:00", "Sun 03:00"',
  "write hours and minutes with two digits each, and the weekday with three letters",
);
export const dueTime = v.pipe(v.string(dueTimeMessage), v.regex(dueTimePattern, dueTimeMessage));

export const restoreTest = table("host.restore_test", {
  at: v.optional(dueTime),
  every: v.optional(duration({ min: minute, max: 365 * day })),
  rate: v.optional(size({ min: 64 * KiB, max: 64 * GiB }), "20MiB"),
  folder: v.optional(text("path of a folder with room for the databases")),
});
type RestoreTestContent = v.InferOutput<typeof restoreTest>;

/** `from`: the folder of the file. */
export function resolveRestoreTest(
  from: string,
  stateFolder: string,
  content: RestoreTestContent | undefined,
): RestoreTestConfig | undefined {
  if (content === undefined) return undefined;
  const { at: time, every: everyMs, rate: bytesPerSecond } = content;
  const folder = content.folder === undefined ? stateFolder : resolve(from, content.folder);
  const at = time === undefined ? undefined : parseDueTime(time);
  if (at !== undefined) return { schedule: { kind: "at", at }, bytesPerSecond, folder };
  if (everyMs === undefined) throw new Error("a restore test without a time passed the checks");
  return { schedule: { kind: "every", everyMs }, bytesPerSecond, folder };
}

export function checkRestoreTest(content: RestoreTestContent | undefined, problems: Problems): void {
  if (content === undefined || (content.at === undefined) !== (content.every === undefined)) return;
  problems.add(["host", "restore_test", ...(content.at === undefined ? [] : ["every"])], {
    found: content.at === undefined ? "neither `at` nor `every`" : "`every` beside `at`",
    accepted: "one of them",
    advice: 'write at = "Sun 03:00" for a time of the week, or every = "12h"',
  });
}
