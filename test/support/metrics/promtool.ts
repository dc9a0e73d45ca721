/** Prometheus' own check of what a scrape gets (Debian package prometheus). */
import { spawnSync } from "node:child_process";

export const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
if (!hasPromtool)
  console.log("skipped, metrics by the rules of Prometheus: not installed: promtool (package prometheus)");

/** Faults that promtool finds in the text; empty when there are none. */
export function promtoolComplaints(text: string): string {
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  return status === 0 && stderr === "" ? "" : `${stdout}${stderr}`;
}

/** The value of the sample that begins so; undefined: there is none. */
export function sampleOf(text: string, beginning: string): number | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${beginning} `));
  return line === undefined ? undefined : Number(line.slice(beginning.length + 1));
}
