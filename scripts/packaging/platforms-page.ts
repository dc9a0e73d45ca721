/** docs/PLATFORMS.md, from the table of targets and what trials have shown. */
import { type Outcome, type TrialName, trialNames } from "./trials.ts";
import type { Runner } from "./runners.ts";
import type { ReleaseTarget } from "./targets.ts";

export interface Tried {
  readonly target: ReleaseTarget;
  readonly runner: Runner;
  readonly bytes: { readonly executable: number; readonly runtime: number; readonly compressed: number };
  readonly outcomes: Readonly<Partial<Record<TrialName, Outcome>>>;
}

export interface PageInput {
  readonly version: string;
  readonly machine: string;
  readonly tried: readonly Tried[];
  /** The part of the page that people write: what is below the tables. */
  readonly words: string;
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

function cell({ runner, outcomes }: Tried, name: TrialName): string {
  const outcome = outcomes[name];
  if (outcome !== undefined) return outcome.kind === "passed" ? "passed" : "**failed**";
  return runner.kind === "nowhere" ? "not run" : "not tried";
}

const packages = ({ deb, rpm, oci }: ReleaseTarget): string =>
  [
    "tar.zst",
    ...(deb === undefined ? [] : ["deb"]),
    ...(rpm === undefined ? [] : ["rpm"]),
    ...(oci === undefined ? [] : ["image"]),
  ].join(", ");

export const platformsPage = ({ version, machine, tried, words }: PageInput): string => `# Platforms

The tables are made by \`./scripts/platforms\`, which tries each executable of a release (\`./scripts/release\`) as far as
the machine can run it: version ${version}, on ${machine}.

${table(
  ["platform", "runs as", "needs", "released as"],
  tried.map(({ target }) => [target.name, target.roles, target.needs, packages(target)]),
)}

What was run:

${table(
  ["platform", "run by", ...trialNames],
  tried.map((each) => [
    each.target.name,
    each.runner.kind === "here" ? each.runner.by : each.runner.why,
    ...trialNames.map((name) => cell(each, name)),
  ]),
)}

*version* loads both SQLite libraries; *config check* reads a file of \`stead init\`; *one host* is a gateway, a host
and an application, a write and a read through them, and \`stead vault verify\` at the end; *cluster* is
\`stead demo --kills 1\`.
"not tried": under an emulator a record takes longer than a lease. "not run": this machine cannot run that executable;
it is built, and nothing more is known of it.

Sizes, in MiB:

${table(
  ["platform", "executable", "of it Bun", "of it stead with libSQL", "tar.zst"],
  tried.map(({ target, bytes }) => [
    target.name,
    mebibytes(bytes.executable),
    mebibytes(bytes.runtime),
    mebibytes(bytes.executable - bytes.runtime),
    mebibytes(bytes.compressed),
  ]),
)}

${words}`;
