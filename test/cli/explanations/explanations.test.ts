/** Events, refusals and exit codes are complete by their types; here what types cannot see. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { explainedCodes } from "../../../src/cli/explanations/explanations.ts";
import { queryExplanations } from "../../../src/cli/explanations/refusals.ts";
import { exitCodes } from "../../../src/cli/output/exit-codes.ts";
import { runStead } from "../../support/cli/run-cli.ts";

const root = join(import.meta.dirname, "../../..");

const sourcesOf = (folder: string): string =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(root, folder, name), "utf8"))
    .join("\n");

test("every code of a query's error that the source has is explained, and no other of stead's own", () => {
  const own = /"((?:SQL|STREAM|HRANA)_[A-Z_]+)"/g;
  const inSource = new Set([...sourcesOf("src/gateway").matchAll(own)].map(([, code]) => code));
  const explained = Object.keys(queryExplanations).filter((code) => /^(?:SQL|STREAM|HRANA)_/.test(code));
  expect(explained.toSorted()).toEqual([...inSource].filter((code) => code !== undefined).toSorted());
});

test("every exit code is explained by its number", () => {
  for (const code of Object.values(exitCodes))
    expect(explainedCodes.filter((row) => row.kind === "exit code" && row.code === String(code))).toHaveLength(1);
});

test("every command that an explanation advises exists", async () => {
  const advised = explainedCodes.flatMap(({ advice }) => [
    ...advice.matchAll(/`stead ([a-z][a-z -]*?)(?: [A-Z-].*?)?`/g),
  ]);
  const commands = new Set(advised.map(([, command = ""]) => command));
  expect(commands.size).toBeGreaterThan(10);
  for (const command of commands) {
    const { code, err } = await runStead([...command.split(" "), "--help"]);
    expect({ command, code, err }).toEqual({ command, code: 0, err: "" });
  }
});

test("every flag that an explanation advises is one of its command", async () => {
  const advised = explainedCodes.flatMap(({ advice }) => [
    ...advice.matchAll(/`stead ([a-z]+(?: [a-z]+)*) (?:[A-Z]+ )*(--[a-z-]+)/g),
  ]);
  expect(advised.length).toBeGreaterThan(3);
  for (const [, command = "", flag = ""] of advised) {
    const { out } = await runStead([...command.trim().split(" "), "--help"]);
    expect({ command, flag, known: out.includes(flag) }).toEqual({ command, flag, known: true });
  }
});
