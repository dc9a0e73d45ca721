/** All that `stead explain` knows, in one table. */
import { exitCodes } from "../output/exit-codes.ts";
import { eventExplanations } from "./events.ts";
import { exitCodeExplanations } from "./exit-codes.ts";
import type { CodeMeaning } from "./code-meaning.ts";
import { hostRefusalExplanations, queryExplanations, refusalExplanations } from "./refusals.ts";

/** Where the code is met. */
export type CodeKind = "event" | "refusal" | "refusal of a host" | "error of a query" | "exit code";

export interface ExplainedCode extends CodeMeaning {
  readonly code: string;
  readonly kind: CodeKind;
}

const rows = (kind: CodeKind, table: Readonly<Record<string, CodeMeaning>>): ExplainedCode[] =>
  Object.entries(table).map(([code, explained]) => ({ code, kind, ...explained }));

/** An exit code is known by its number. */
const exitCodeRows = Object.entries(exitCodeExplanations).map(
  ([name, explained]): ExplainedCode => ({
    code: String(exitCodes[name as keyof typeof exitCodes]),
    kind: "exit code",
    ...explained,
  }),
);

/** A code can be of several kinds. */
export const explainedCodes: readonly ExplainedCode[] = [
  ...rows("event", eventExplanations),
  ...rows("refusal", refusalExplanations),
  ...rows("refusal of a host", hostRefusalExplanations),
  ...rows("error of a query", queryExplanations),
  ...exitCodeRows,
];
