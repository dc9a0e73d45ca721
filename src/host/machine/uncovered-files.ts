/**
 * What a host's data folder has that neither `databases` nor `files` covers and that looks like state: what the
 * application wrote there as primary the next primary does not have.
 */
import type { HostConfig } from "../../config/types.ts";
import { coverageBy } from "../../core/files/coverage.ts";
import { surveyFolder } from "./folder-survey.ts";

/** More are not looked at: a restore does not wait for it. */
const entriesMax = 20_000;
const shownMax = 5;

export function describeUncovered(
  config: Pick<HostConfig, "dataFolder" | "databases" | "databasesExcept" | "files">,
  most = entriesMax,
): string | undefined {
  const { dataFolder, databases, databasesExcept, files } = config;
  const coverage = coverageBy({
    ...{ databases, databasesExcept },
    ...{ files: files?.patterns ?? [], filesExcept: files?.except ?? [] },
  });
  const { entries, isCut } = surveyFolder(dataFolder, most);
  const found = entries.flatMap((entry) => {
    const covered = coverage(entry);
    return covered.kind === "none" && covered.looksLike !== undefined ? [entry.name] : [];
  });
  if (found.length === 0) return undefined;
  const more = found.length > shownMax ? ` and ${found.length - shownMax} more` : "";
  const among = isCut ? ` (among the first ${most} entries, more were not looked at)` : "";
  return `files in the data folder of this host look like state, and a failover does not take them to another host: ${found.slice(0, shownMax).join(", ")}${more}${among}; add patterns to \`files\` or \`databases\` in [host], or to the exceptions if the application can do without (stead host --explain lists all)`;
}
