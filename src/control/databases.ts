/**
 * The databases of a service as a host sees them, and an operator's changes to them: part of the control API and of the
 * admin API.
 */
import * as v from "valibot";
import { isDatabaseName } from "../core/database-name.ts";

const databaseNameSchema = v.pipe(
  v.string(),
  v.maxLength(4096),
  v.check(isDatabaseName, "the name of a database: a path below the data folder with forward slashes"),
);

/**
 * `captured`: by this primary. `followed`: by this secondary. `held`: it cannot be captured now, and responses are
 * held. `left-out`: it matches a pattern but is not a database. `excluded`: by an operator.
 */
export const databaseConditions = ["captured", "followed", "held", "left-out", "excluded"] as const;

export const databaseEntrySchema = v.object({
  name: v.string(),
  condition: v.picklist(databaseConditions),
  /** Milliseconds for which it has been held or excluded; null: unknown. */
  forMs: v.nullable(v.pipe(v.number(), v.minValue(0))),
  /** What was found, if it is not captured. */
  reason: v.nullable(v.string()),
  /** What can be done about it. */
  advice: v.nullable(v.string()),
});
export type DatabaseEntry = v.InferOutput<typeof databaseEntrySchema>;

export const databaseListSchema = v.object({
  /** The number of databases, including those that are not listed. */
  total: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** Uncaptured ones first, each group sorted by name; bounded. */
  databases: v.array(databaseEntrySchema),
});
export type DatabaseList = v.InferOutput<typeof databaseListSchema>;

export const databaseChangeSchema = v.object({
  name: databaseNameSchema,
  /** Also excludes a captured database, which is then removed from the journal. */
  force: v.optional(v.boolean(), false),
});
export type DatabaseChange = v.InferInput<typeof databaseChangeSchema>;

export const databaseActs = ["exclude", "include"] as const;
export type DatabaseAct = (typeof databaseActs)[number];
