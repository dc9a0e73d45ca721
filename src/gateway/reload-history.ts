/**
 * What the last reads of a changed configuration file changed, or would have changed. In memory: a gateway that starts
 * has read its file once, and reports none.
 *
 * It keeps settings under the names of config/settings.ts, which have no secret. That the secret itself differs is
 * told, and neither one.
 */
import type { ConfigReload } from "../control/config-api.ts";
import { withNulls } from "../control/nulls.ts";
import { type Difference, differences, gatewaySettings, serviceSettings } from "../config/settings.ts";
import type { GatewayConfig } from "../config/types.ts";

/** Reads that are kept, and differences of each. */
export const reloadsMax = 20;
export const differencesMax = 25;
/** A value in a difference, or a reason, is cut after so many characters. */
const textLengthMax = 400;

export type ReloadResult =
  | { readonly kind: "applied"; readonly after: GatewayConfig }
  /** `after` undefined: the file could not be read as a configuration. */
  | { readonly kind: "refused"; readonly why: string; readonly after: GatewayConfig | undefined };

export class ReloadHistory {
  #reloads: readonly ConfigReload[] = [];

  /** Newest first. */
  get reloads(): readonly ConfigReload[] {
    return this.#reloads;
  }

  /** `before` stays in force if it was refused. A file that was read again and says the same is nothing new. */
  add(atMs: number, before: GatewayConfig, result: ReloadResult): void {
    const found = result.after === undefined ? [] : configurationDifferences(before, result.after);
    if (result.kind === "applied" && found.length === 0) return;
    const reload: ConfigReload = {
      atMs,
      refused: withNulls(result.kind === "refused" ? shortened(result.why) : undefined),
      differences: found.slice(0, differencesMax).map(({ key, before: was, after }) => ({
        ...{ key, before: shortenedValue(was), after: shortenedValue(after) },
      })),
      differencesLeftOut: Math.max(0, found.length - differencesMax),
    };
    this.#reloads = [reload, ...this.#reloads].slice(0, reloadsMax);
  }
}

/** Returns the differences of two configurations, services as their files name them. */
export function configurationDifferences(before: GatewayConfig, after: GatewayConfig): readonly Difference[] {
  const secret =
    before.secret === after.secret
      ? []
      : [{ key: "cluster.secret", before: "not shown", after: "another one, not shown" }];
  return [...secret, ...differences(settingsOf(before), settingsOf(after))];
}

const settingsOf = (config: GatewayConfig) => ({ ...gatewaySettings(config), ...serviceSettings(config.services) });

const shortened = (text: string): string => (text.length > textLengthMax ? `${text.slice(0, textLengthMax)}…` : text);

const shortenedValue = (value: Difference["before"]): Difference["before"] =>
  typeof value === "string" ? shortened(value) : value;
