/** The configuration of a gateway in its admin API: what is in force, and what the last reloads changed. */
import * as v from "valibot";
import { configurationStatusSchema } from "./gateway-api.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const settingSchema = v.union([v.string(), v.number()]);
const settingsSchema = v.record(v.string(), settingSchema);

/** What a changed configuration file changed when it was read again, or would have changed. */
export const configReloadSchema = v.object({
  atMs: count,
  /** Why it was refused; null: it was applied. */
  refused: v.nullable(v.string()),
  /** In the order of the keys; null: absent. None of a file that is no configuration. */
  differences: v.array(
    v.object({ key: v.string(), before: v.nullable(settingSchema), after: v.nullable(settingSchema) }),
  ),
  /** Further differences. */
  differencesLeftOut: count,
});
export type ConfigReload = v.InferOutput<typeof configReloadSchema>;

/** The gateway's current settings, under the names of src/config/settings.ts; hosts as they are registered. */
export const configReportSchema = v.object({
  configuration: configurationStatusSchema,
  settings: settingsSchema,
  /** The settings that were decided at run time. */
  decidedAtRunTime: v.array(v.string()),
  /** The last ones of this run of the gateway, newest first; an earlier version reports none. */
  reloads: v.optional(v.array(configReloadSchema), []),
});
export type ConfigReport = v.InferOutput<typeof configReportSchema>;
