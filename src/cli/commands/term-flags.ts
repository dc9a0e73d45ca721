/** `--for` and `--reason` of orders that may end by themselves. */
import { durationAccepted, formatDuration, parseDuration } from "../../config/units.ts";
import { pauseForMsMax } from "../../control/gateway-api.ts";
import type { ConnectionFlags } from "./gateway-connection.ts";

export interface TermFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
  readonly for: number | undefined;
  readonly reason: string | undefined;
}

export const termFlags = (forBrief: string) =>
  ({
    for: { kind: "parsed", parse: durationOf, optional: true, placeholder: "duration", brief: forBrief },
    reason: {
      kind: "parsed",
      parse: String,
      optional: true,
      placeholder: "text",
      brief: "Why, for operators; it appears in status, page, events and SQL; one line",
    },
  }) as const;

/** Builds a request with only the given parts. */
export const givenTerms = (flags: TermFlags): { service?: string; forMs?: number; reason?: string } => ({
  ...(flags.service === undefined ? {} : { service: flags.service }),
  ...(flags.for === undefined ? {} : { forMs: flags.for }),
  ...(flags.reason === undefined ? {} : { reason: flags.reason }),
});

function durationOf(text: string): number {
  const parsed = parseDuration(text);
  if (parsed.kind === "ok" && parsed.value >= 1_000 && parsed.value <= pauseForMsMax) return parsed.value;
  const bounds = `from 1s to ${formatDuration(pauseForMsMax)}`;
  throw new Error(`expected ${durationAccepted}, ${bounds}, found ${JSON.stringify(text)}`);
}
