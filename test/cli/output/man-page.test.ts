import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { buildCommand, buildRouteMap } from "@stricli/core";
import { exitCodeMeanings } from "../../../src/cli/output/exit-codes.ts";
import { manPage } from "../../../src/cli/output/man-page.ts";
import type { CliContext } from "../../../src/cli/output/context.ts";
import { runStead } from "../../support/cli/run-cli.ts";

/** The commands below these words, as help lists them. */
async function commandsBelow(words: readonly string[]): Promise<string[]> {
  const { out } = await runStead([...words, "--help"]);
  const [, list] = out.split("\nCOMMANDS\n");
  if (list === undefined) return [words.join(" ")];
  const names = list.split("\n\n")[0]?.match(/^ {2}(\S+)/gm) ?? [];
  return (await Promise.all(names.map((name) => commandsBelow([...words, name.trim()])))).flat();
}

const plain = (roff: string): string => roff.replaceAll("\\-", "-");

test("the page has every command that help has, and every exit code", async () => {
  const { code, out } = await runStead(["man"]);
  expect(code).toBe(0);
  const shown = [...plain(out).matchAll(/^\.SS "stead ((?:[a-z-]+ ?)+)/gm)].map(([, words = ""]) => words.trim());
  const known = await commandsBelow([]);
  expect(known.length).toBeGreaterThan(50);
  for (const command of known) expect(shown.filter((each) => `${each} `.startsWith(`${command} `))).not.toEqual([]);
  for (const [exit, meaning] of exitCodeMeanings) expect(plain(out)).toContain(`.TP\n${exit}\n${meaning.slice(0, 20)}`);
  expect(out).not.toContain("gateway\\-worker");
});

for (const [tool, args] of [
  ["mandoc", ["-T", "lint", "-W", "warning"]],
  ["groff", ["-man", "-ww", "-z", "-Tutf8"]],
] as const)
  test.skipIf(Bun.which(tool) === null)(`${tool} renders it without a warning`, async () => {
    const { out } = await runStead(["man"]);
    const { stdout, stderr, status } = spawnSync(tool, args, { input: out, encoding: "utf8" });
    expect([stdout, stderr, status]).toEqual(["", "", 0]);
  });

test("nothing of a command is taken for a request of roff, and examples can be copied", () => {
  const command = buildCommand<Record<never, never>, [], CliContext>({
    docs: {
      brief: "One",
      fullDescription: `.so /etc/passwd\n'quoted' \\fX ~ ^ \`x\` "y" …\n\nEXAMPLES\n  stead x --a-b`,
    },
    parameters: {},
    func: () => undefined,
  });
  const root = buildRouteMap({ routes: { x: command, y: command }, docs: { brief: "All" } });
  const page = manPage({ root, version: "1", date: "2030-01-01", exitCodes: [] });
  expect(page).toContain(
    "\n\\&.so /etc/passwd\n\\&\\(aqquoted\\(aq \\efX \\(ti \\(ha \\(gax\\(ga \\(dqy\\(dq \\[u2026]\n",
  );
  expect(page).toContain(".nf\nstead x \\-\\-a\\-b\n.fi");
});
