/** Each shell is asked for candidates in the way in which it asks, with the script that stead prints for it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { completionScripts, type Shell, shells } from "../../../src/cli/output/completion-scripts.ts";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-completion-"));
  const program = join(folder, "stead");
  const main = join(import.meta.dirname, "../../../src/main.ts");
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
  chmodSync(program, 0o755);
  for (const shell of shells) writeFileSync(join(folder, shell), completionScripts[shell]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Prints the candidates of the words, one in each line. */
const questions: Readonly<Record<Shell, (words: readonly string[]) => string>> = {
  bash: (words) =>
    `source ./bash; COMP_WORDS=(${words.join(" ")}); COMP_CWORD=${words.length - 1}; _stead; printf '%s\\n' "\${COMPREPLY[@]}"`,
  zsh: (words) =>
    `compdef() { : }; _describe() { print -rl -- "\${(@P)2}" }; _files() { print files }
     source ./zsh; words=(${words.join(" ")}); CURRENT=${words.length}; _stead`,
  fish: (words) => `source ./fish; complete -C "${words.join(" ").replaceAll("''", "")}"`,
};

function candidates(shell: Shell, words: readonly string[]): string[] {
  const { stdout, stderr } = spawnSync(shell, ["-c", questions[shell](words)], {
    ...{ cwd: folder, encoding: "utf8" },
    env: { ...process.env, PATH: `${folder}:${process.env["PATH"]}`, HOME: folder },
  });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

const nameOf = (line: string): string => /^[\w-]+/.exec(line)?.[0] ?? "";

for (const shell of shells) {
  const isThere = spawnSync(shell, ["--version"]).status === 0;
  if (!isThere) console.log(`skipped, completion in ${shell}: not installed: ${shell} (package ${shell})`);
  (isThere ? test : test.skip)(`${shell} completes commands, flags and values (needs ${shell})`, () => {
    const of = (...words: string[]): string[] => candidates(shell, ["stead", ...words]).map(nameOf);
    expect(of("vault", "re")).toEqual(["rekey", "restore"].toSorted((a, b) => order(shell, a, b)));
    expect(of("switchover", "--dry")).toEqual(["--dry-run"]);
    expect(of("drill", "run", "--kind", "sw")).toEqual(["switchover"]);
  });
}

/** fish sorts; the others keep the order of the program. */
const order = (shell: Shell, a: string, b: string): number =>
  shell === "fish" ? a.localeCompare(b) : b.localeCompare(a);

test("parts that operators do not start are not proposed, and a shell that is not known is refused", async () => {
  const { out } = await runStead(["__complete", ""]);
  const names = out.split("\n").map(nameOf);
  expect(names).toContain("completion");
  expect(names).not.toContain("gateway-worker");
  expect(await runStead(["completion", "csh"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("expected bash, zsh, fish"),
  });
  expect((await runStead(["completion", "fish"])).out).toBe(completionScripts.fish);
});
