/** `host.checkpoint.history`: which checkpoints stay beyond the window, as `"7d hourly, 90d daily"`. */
import * as v from "valibot";
import { type HistoryRule, historyCount } from "../core/checkpoint-history.ts";
import { message } from "./fields.ts";
import { durationPattern, parseDuration } from "./units.ts";

const periodsMs: Readonly<Record<string, number>> = { hourly: 3_600_000, daily: 86_400_000, weekly: 7 * 86_400_000 };
/** Each is named in every manifest, and keeps its chunks. */
const checkpointsMax = 1000;

export const historyAccepted =
  'how long and how often, separated by commas: "7d hourly, 90d daily", with hourly, daily or weekly';
const advice = "write each as a duration and a period; leave it out to keep none beyond the window";
const pattern = `(${durationPattern.slice(1, -1)} (${Object.keys(periodsMs).join("|")}))`;

/** Returns undefined for anything else. */
export function parseHistory(text: string): HistoryRule[] | undefined {
  const rules = text.split(",").map((part): HistoryRule | undefined => {
    const [span = "", period = "", ...rest] = part.trim().split(/ +/);
    const [duration, everyMs] = [parseDuration(span), Object.hasOwn(periodsMs, period) ? periodsMs[period] : undefined];
    if (duration.kind === "malformed" || everyMs === undefined || rest.length > 0) return undefined;
    return { everyMs, forMs: duration.value };
  });
  return rules.every((rule) => rule !== undefined) ? rules : undefined;
}

/** What is wrong with rules that can be read; undefined: nothing. */
export function objectionTo(rules: readonly HistoryRule[]): string | undefined {
  if (rules.some(({ everyMs, forMs }) => forMs < everyMs)) return "keep at least one whole period of each";
  if (historyCount(rules) > checkpointsMax)
    return `keep at most ${checkpointsMax} checkpoints: these rules would keep ${historyCount(rules)}`;
  return undefined;
}

/** A text with rules. */
export const history = () =>
  v.pipe(
    v.string(message(historyAccepted, advice)),
    v.metadata({ pattern: `^${pattern}(, *${pattern})*$` }),
    v.rawTransform<string, readonly HistoryRule[]>(({ dataset, addIssue, NEVER }) => {
      const rules = parseHistory(dataset.value);
      const objection = rules === undefined ? advice : objectionTo(rules);
      if (rules !== undefined && objection === undefined) return rules;
      addIssue({ message: message(historyAccepted, objection ?? advice) });
      return NEVER;
    }),
  );
