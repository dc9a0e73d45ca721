/**
 * What a host's data folder has that neither `databases` nor `files` covers and that looks like state. On a host that
 * was primary it is what the next primary does not have.
 */
import type { HostConfig } from "../../config/types.ts";
import { coverageBy } from "../../core/files/coverage.ts";
import { surveyFolder } from "./folder-survey.ts";

/** More are not looked at: a restore does not wait for it. */
const entriesMax = 20_000;
const shownMax = 5;

export function describeUncovered(
  config: Pick<HostConfig, "dataFolder" | "databases" | "databasesExcept" | "files">,
): string | undefined {
  const { dataFolder, databases, databasesExcept, files } = config;
  const coverage = coverageBy({
    ...{ databases, databasesExcept },
    ...{ files: files?.patterns ?? [], filesExcept: files?.except ?? [] },
  });
  const found = surveyFolder(dataFolder, entriesMax).entries.flatMap((entry) => {
    const covered = coverage(entry);
    return covered.kind === "none" && covered.looksLike !== undefined ? [entry.name] : [];
  });
  if (found.length === 0) return undefined;
  const more = found.length > shownMax ? ` and ${found.length - shownMax} more` : "";
  return `the data folder of this host has files that look like state and that no other host has: ${found.slice(0, shownMax).join(", ")}${more}; add patterns to \`files\` or \`databases\` in [host], or to the exceptions if the application can do without (stead host --explain lists all)`;
}
