/** Which commands answer with JSON, and that a wrong command line has one exit code everywhere. */
import { expect, test } from "bun:test";
import { runStead } from "../../support/cli/run-cli.ts";

/** Commands without --json, and why. */
const without: Readonly<Record<string, string>> = {
  gateway: "runs; its lines have --log-format json",
  "vault serve": "runs",
  liveness: "prints nothing: its exit code is the answer",
  "config schema": "prints JSON",
  completion: "prints a script",
  man: "prints a manual page",
};

const page = (await runStead(["man"])).out.replaceAll("\\-", "-");
const sections = page
  .split("\n.SH EXIT")[0]
  ?.split('\n.SS "stead ')
  .slice(1)
  .map((text) => ({
    text,
    words: (/^(?:[a-z][a-z-]*(?= |"))(?: [a-z][a-z-]*(?= |"))?/.exec(text)?.[0] ?? "").split(" "),
  }));

/** The words that are a command; what follows is its argument. */
async function commandOf(words: readonly string[]): Promise<readonly string[]> {
  const isGroup = words.length > 1 && (await runStead([words[0] ?? "", "--help"])).out.includes("\nCOMMANDS\n");
  return isGroup ? words : words.slice(0, 1);
}

test("every command has --json, or is listed with the reason why not", async () => {
  const commands = await Promise.all(
    (sections ?? []).map(async ({ text, words }) => ({ name: (await commandOf(words)).join(" "), text })),
  );
  expect(commands.length).toBeGreaterThan(50);
  const missing = commands.filter(({ text }) => !text.includes("\\fB--json\\fR")).map(({ name }) => name);
  expect(missing.toSorted()).toEqual(Object.keys(without).toSorted());
});

test("a flag that a command does not have is refused by each with exit code 2, and nothing on standard output", async () => {
  for (const { words } of sections ?? []) {
    const command = await commandOf(words);
    const { code, out, err } = await runStead([...command, "--no-such-flag"]);
    expect([command.join(" "), code, out, err.includes("no-such-flag")]).toEqual([command.join(" "), 2, "", true]);
  }
});
