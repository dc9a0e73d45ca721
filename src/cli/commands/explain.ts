/** `stead explain CODE`: what an event, a refusal, an error of a query or an exit code means, and what to do. */
import { buildCommand } from "@stricli/core";
import { suggest } from "../../config/suggest.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { type ExplainedCode, explainedCodes } from "../explanations/explanations.ts";
import type { CliContext } from "../output/context.ts";
import { formatTable } from "../output/table.ts";
import { lineWidth, paragraph } from "../output/wrap-text.ts";

function inWords({ code, kind, means, clients, advice }: ExplainedCode): string {
  return [
    `${code} (${kind})\n`,
    paragraph("  means:   ", means),
    paragraph("  clients: ", clients),
    paragraph("  do:      ", advice),
  ].join("");
}

function requireCodes(code: string): readonly ExplainedCode[] {
  const found = explainedCodes.filter((row) => row.code.toLowerCase() === code.toLowerCase());
  if (found.length > 0) return found;
  const near = suggest(
    code,
    explainedCodes.map((row) => row.code),
  );
  throw new OperatorError("usage", {
    found: `no code "${code}"`,
    accepted: "the name of an event, the code of a refusal or of a query's error, or an exit code",
    advice:
      near === undefined ? "`stead explain` lists them all" : `did you mean ${near}? \`stead explain\` lists them all`,
  });
}

export const explainCommand = buildCommand<{ readonly json: boolean }, [code?: string], CliContext>({
  docs: {
    brief: "Explain an event, a refusal, or an exit code",
    fullDescription: [
      "Says what the code means, what clients notice, and what to do. Without a code it lists them all. Needs no gateway.",
      "",
      "EXAMPLES",
      "  stead explain failover-no-candidate",
      "  stead explain 6",
      "  stead explain",
    ].join("\n"),
  },
  parameters: {
    flags: { json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON array" } },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "What to explain", placeholder: "code", parse: String, optional: true }],
    },
  },
  func(flags, code) {
    const { stdout } = this.process;
    const found = code === undefined ? explainedCodes : requireCodes(code);
    if (flags.json) stdout.write(`${JSON.stringify(found)}\n`);
    else if (code === undefined)
      stdout.write(
        formatTable(
          [{ title: "CODE" }, { title: "IS" }, { title: "MEANS" }],
          found.map((row) => [row.code, row.kind, row.means]),
          stdout.columns ?? lineWidth,
        ),
      );
    else stdout.write(found.map(inWords).join("\n"));
  },
});
