import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatOperatorError } from "../../src/cli/output/operator-errors.ts";
import { exitCodeMeanings, exitCodes } from "../../src/cli/output/exit-codes.ts";
import { OperatorError } from "../../src/runtime/operator-error.ts";
import { runStead } from "../support/cli/run-cli.ts";

/** Every command that `--help` lists, at any depth, by following the help texts themselves. */
async function allCommands(prefix: readonly string[] = []): Promise<string[][]> {
  const { out } = await runStead([...prefix, "--help"]);
  const list = out.split("\nCOMMANDS\n")[1];
  if (list === undefined) return [[...prefix]];
  const names = [...list.matchAll(/^ {2}([a-z-]+)/gm)].map((match) => match[1] ?? "");
  const nested = await Promise.all(names.map((name) => allCommands([...prefix, name])));
  return nested.flat();
}

test("every command explains itself with a line of usage and with examples", async () => {
  const commands = await allCommands();
  expect(commands.map((command) => command.join(" "))).toContain("config check");
  for (const command of commands) {
    const { code, out, err } = await runStead([...command, "--help"]);
    expect({ command, code, err }).toEqual({ command, code: 0, err: "" });
    expect({ command, examples: out.includes("EXAMPLES\n  stead ") }).toEqual({ command, examples: true });
  }
});

test("every command refuses a flag that it does not know, with exit code 2 and its name", async () => {
  for (const command of await allCommands()) {
    const { code, out, err } = await runStead([...command, "--no-such-flag"]);
    expect({ command, code, out }).toEqual({ command, code: exitCodes.usage, out: "" });
    expect(err).toContain("no-such-flag");
    expect(err).toContain("\n  do: ");
  }
});

test("a misspelt command or flag is refused with what was probably meant", async () => {
  expect(await runStead(["versoin"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("did you mean `version`?"),
  });
  expect(await runStead(["version", "--jsno"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("did you mean --json?"),
  });
  expect(await runStead(["config", "chekc"])).toMatchObject({ code: 2, err: expect.stringContaining("`check`") });
});

test("a host that is given by a flag is refused with the advice that it is an argument, where a command has one", async () => {
  for (const command of [["switchover"], ["failover"], ["checkpoint"], ["hosts", "drain"]]) {
    const { code, err } = await runStead([...command, "--to", "b"]);
    expect([code, err]).toEqual([
      2,
      `stead: no flag --to\n  do: the host is an argument: \`stead ${command.join(" ")} HOST\`\n`,
    ]);
  }
  expect((await runStead(["status", "--to", "b"])).err).not.toContain("argument: ");
});

test("the version is that of package.json", async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    version: string;
  };
  expect(await runStead(["--version"])).toEqual({ code: 0, out: `${version}\n`, err: "" });
  const { out } = await runStead(["version", "--json"]);
  expect(JSON.parse(out)).toMatchObject({
    stead: version,
    sqlite: expect.stringMatching(/^3\.\d+\.\d+$/),
    libsql: expect.stringMatching(/^3\.\d+\.\d+$/),
  });
});

test("the SQLite that captures pages has the fix of the WAL-reset bug (3.51.3)", async () => {
  const { sqlite } = JSON.parse((await runStead(["version", "--json"])).out) as { sqlite: string };
  const [major = 0, minor = 0, patch = 0] = sqlite.split(".").map(Number);
  expect(major * 1e6 + minor * 1e3 + patch).toBeGreaterThanOrEqual(3_051_003);
});

test("exit codes are documented: in --help, in the manual, each once", async () => {
  const { out } = await runStead(["--help"]);
  const manual = readFileSync(join(import.meta.dirname, "../../docs/OPERATIONS.md"), "utf8");
  expect(exitCodeMeanings.map(([code]) => code).toSorted((a, b) => a - b)).toEqual(
    Object.values(exitCodes).toSorted((a, b) => a - b),
  );
  const table = /^## Exit codes\n[^]*?(?=\n## )/m.exec(manual)?.[0] ?? "";
  expect([...table.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, code, meaning]) => [Number(code), meaning])).toEqual(
    exitCodeMeanings.map((row) => [...row]),
  );
  for (const [code, meaning] of exitCodeMeanings) expect(out).toContain(`${code}  ${meaning}`);
});

test("an expected error shows what was found, what is accepted and what to do; its stack only with --debug", async () => {
  const plain = await runStead(["config", "check", "/nonexistent/x.toml"]);
  expect(plain).toMatchObject({ code: exitCodes.configuration, out: "" });
  expect(plain.err).not.toContain("    at ");
  const debug = await runStead(["--debug", "config", "check", "/nonexistent/x.toml"]);
  expect(debug.err).toContain("    at ");
  expect(formatOperatorError(new OperatorError("refused", { found: "a", accepted: "b", advice: "c" }))).toBe(
    "stead: a\n  accepted: b\n  do: c",
  );
});
