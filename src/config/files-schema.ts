/** The keys of a configuration file about files beside the databases, in [host]. */
import * as v from "valibot";
import { filePatternAccepted, fileSegments } from "../core/files/file-pattern.ts";
import { choice, duration, message, size, whole } from "./fields.ts";

const hour = 3_600_000;
const KiB = 2 ** 10;
const GiB = 2 ** 30;

const patternMessage = message(
  `an array of paths or globs: ${filePatternAccepted}`,
  "write them relative to `data`, without `..`; `**` only as a whole segment",
);
const patterns = v.array(
  v.pipe(
    v.string(patternMessage),
    v.check((pattern) => fileSegments(pattern) !== undefined, patternMessage),
  ),
  patternMessage,
);

/** In force where a key is not written, in the units of the resolved configuration. */
export const fileDefaults = {
  files_durability: "before-answer",
  files_max: 100_000,
  files_bytes_max: 64 * GiB,
  file_bytes_max: 4 * GiB,
  files_rate_max: 256 * 2 ** 20,
  files_over: "refuse",
} as const;

export const fileEntries = {
  files: v.optional(patterns, []),
  files_except: v.optional(patterns, []),
  files_durability: v.optional(choice(["before-answer", "background"]), fileDefaults.files_durability),
  files_loss_max: v.optional(duration({ min: 100, max: hour })),
  files_max: v.optional(whole(1, 1_000_000), fileDefaults.files_max),
  files_bytes_max: v.optional(size({ min: KiB, max: 64 * 1024 * GiB }), "64GiB"),
  file_bytes_max: v.optional(size({ min: KiB, max: 256 * GiB }), "4GiB"),
  files_rate_max: v.optional(size({ min: KiB, max: 64 * GiB }), "256MiB"),
  files_over: v.optional(choice(["refuse", "warn"]), fileDefaults.files_over),
};
