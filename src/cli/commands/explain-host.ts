/**
 * `stead host --explain`: what of the data folder fails over with the application: which entries are captured as
 * databases, which as files, and which stay on the machine that wrote them.
 */
import { type Coverage, coverageBy, type FoundEntry } from "../../core/files/coverage.ts";
import type { HostConfig } from "../../config/types.ts";
import { type FolderSurvey, surveyFolder } from "../../host/machine/folder-survey.ts";
import { bytesInWords } from "../../runtime/progress-report.ts";
import { formatTable } from "../output/table.ts";
import { paragraph, type Screen } from "../output/wrap-text.ts";

export interface ExplainedEntry {
  readonly name: string;
  readonly kind: FoundEntry["kind"];
  readonly bytes: number;
  readonly coverage: Coverage["kind"];
  /** What state it looks like, if it is not covered. */
  readonly looksLike: string | null;
}

export interface FolderExplanation {
  readonly folder: string;
  readonly entries: readonly ExplainedEntry[];
  readonly warnings: readonly string[];
}

/** Names of one warning. */
const shownMax = 5;

export function explainFolder(host: Pick<HostConfig, "dataFolder" | "databases" | "databasesExcept" | "files">) {
  return explained(host, surveyFolder(host.dataFolder));
}

function explained(
  { dataFolder: folder, databases, databasesExcept, files }: Parameters<typeof explainFolder>[0],
  { entries: found, isCut, unreadable }: FolderSurvey,
): FolderExplanation {
  const coverage = coverageBy({
    ...{ databases, databasesExcept },
    ...{ files: files?.patterns ?? [], filesExcept: files?.except ?? [] },
  });
  const entries = found.map((entry): ExplainedEntry => {
    const covered = coverage(entry);
    const looksLike = covered.kind === "none" ? (covered.looksLike ?? null) : null;
    return { name: entry.name, kind: entry.kind, bytes: entry.bytes, coverage: covered.kind, looksLike };
  });
  return { folder, entries, warnings: [...missed(entries), ...unseen(found.length, isCut, unreadable)] };
}

function missed(entries: readonly ExplainedEntry[]): string[] {
  const byKind = new Map<string, string[]>();
  for (const { name, looksLike } of entries)
    if (looksLike !== null) byKind.set(looksLike, [...(byKind.get(looksLike) ?? []), name]);
  return [...byKind].map(([what, names]) => {
    const more = names.length > shownMax ? ` and ${names.length - shownMax} more` : "";
    const key = what === "a database" ? "databases" : "files";
    const verb = names.length === 1 ? `looks like ${what}, and is` : `look like ${what}, and are`;
    return `${names.slice(0, shownMax).join(", ")}${more} ${verb} not covered: missing after a failover; add a pattern to \`${key}\` in [host], unless the application can do without`;
  });
}

function unseen(count: number, isCut: boolean, unreadable: FolderSurvey["unreadable"]): string[] {
  return [
    ...(isCut ? [`the folder has more than ${count} entries; the rest was not examined`] : []),
    ...unreadable.map(({ name, reason }) => `${name || "the data folder"} cannot be read: ${reason}`),
  ];
}

const words: Readonly<Record<Coverage["kind"], string>> = {
  database: "captured as a database",
  companion: "SQLite's own, or the host's",
  file: "covered as a file",
  none: "not covered",
};

/** More entries of one folder and one coverage stand in one line. */
const linesOfFolderMax = 10;

export function describeFolder({ folder, entries, warnings }: FolderExplanation, screen: Screen): string {
  const rows = grouped(entries.filter(({ kind, coverage }) => kind !== "folder" || coverage === "file"));
  const total = (kind: Coverage["kind"]): string => {
    const of = entries.filter((entry) => entry.coverage === kind && entry.kind !== "folder");
    return `${of.length} (${bytesInWords(of.reduce((sum, { bytes }) => sum + bytes, 0))})`;
  };
  return [
    `${folder}\n`,
    formatTable([{ title: "NAME" }, { title: "IS" }, { title: "SIZE", align: "right" }], rows, screen.table),
    `databases ${total("database")}, files covered ${total("file")}, not covered ${total("none")}\n`,
    ...warnings.map((text) => paragraph("warning: ", text, screen)),
  ].join("");
}

function grouped(entries: readonly ExplainedEntry[]): string[][] {
  const groups = new Map<string, ExplainedEntry[]>();
  for (const entry of entries) {
    const at = entry.name.lastIndexOf("/");
    const key = `${entry.name.slice(0, at + 1)}\0${entry.coverage}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  return [...groups.values()].flatMap((group) => {
    if (group.length <= linesOfFolderMax)
      return group.map(({ name, kind, coverage, bytes }) => [
        kind === "folder" ? `${name}/` : name,
        words[coverage],
        kind === "file" ? bytesInWords(bytes) : "",
      ]);
    const [first] = group;
    if (first === undefined) return [];
    const folder = first.name.slice(0, first.name.lastIndexOf("/") + 1);
    const bytes = group.reduce((sum, entry) => sum + entry.bytes, 0);
    return [[`${folder}* (${group.length})`, words[first.coverage], bytesInWords(bytes)]];
  });
}
