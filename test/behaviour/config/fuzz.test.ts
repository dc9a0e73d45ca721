import { expect, test } from "bun:test";
import { configTemplate } from "../../../src/cli/commands/init-template.ts";
import { parseConfig } from "../../../src/config/load.ts";
import { formatProblems } from "../../../src/config/problems.ts";

const env = { STEAD_SECRET: "0123456789abcdef" };
const template = configTemplate({
  role: "both",
  service: "app",
  hostId: "a",
  secretFile: "s",
  vault: "/mnt/vault",
  bootstrap: false,
})
  .replace(/^#(?=[a-z])/gm, "")
  .replace(/^secret_file.*$/m, "");

/** A generator of whole numbers from a seed (xorshift), so that a failure can be repeated. */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const values = [
  "0",
  "-1",
  "1.5",
  "nan",
  "inf",
  "true",
  '""',
  '"\\u0000"',
  "[]",
  "{}",
  "[1, [2]]",
  "{ a = 1 }",
  "1979-05-27",
  '"file://host/x"',
  '"file:///%2F"',
  '"http://[::1"',
  '"999999999999999d"',
  '"[::]:1"',
  "9007199254740993",
  `"${"x".repeat(5000)}"`,
];

function mutate(text: string, next: (limit: number) => number): string {
  const lines = text.split("\n");
  const at = next(lines.length);
  const line = lines[at] ?? "";
  switch (next(6)) {
    case 0:
      return lines.toSpliced(at, 1).join("\n");
    case 1:
      return lines.toSpliced(next(lines.length), 0, line).join("\n");
    case 2:
      return lines.with(at, line.replace(/=.*/, `= ${values[next(values.length)] ?? ""}`)).join("\n");
    case 3:
      return text.slice(0, next(text.length));
    case 4: {
      const place = next(text.length);
      return text.slice(0, place) + String.fromCharCode(next(128)) + text.slice(place + next(3));
    }
    default:
      return lines.with(at, line.replace(/^\[/, "[[").replace(/\]$/, "]]")).join("\n");
  }
}

test("no text makes the loader throw or hang, and every refusal can be printed", () => {
  const outcomes = { ok: 0, invalid: 0 };
  for (let seed = 1; seed <= 4000; seed++) {
    const next = dice(seed * 7919);
    let text = template;
    for (let count = 1 + next(3); count > 0; count--) text = mutate(text, next);
    let result: ReturnType<typeof parseConfig>;
    try {
      result = parseConfig("/etc/stead/stead.toml", text, { env });
    } catch (error) {
      throw new Error(`seed ${seed} made the loader throw`, { cause: error });
    }
    outcomes[result.kind]++;
    if (result.kind === "ok") continue;
    expect(result.problems.length).toBeGreaterThan(0);
    const printed = formatProblems(result.problems);
    expect({
      seed,
      complete: result.problems.every(
        (problem) => problem.found !== "" && problem.accepted !== "" && problem.advice !== "",
      ),
    }).toEqual({ seed, complete: true });
    expect({ seed, control: /[\0-\x08\x0b-\x1f]/.test(printed) }).toEqual({ seed, control: false });
  }
  expect(outcomes.ok).toBeGreaterThan(50);
  expect(outcomes.invalid).toBeGreaterThan(1000);
}, 60_000);

test("no value at any key makes the loader throw", () => {
  const lines = template.split("\n");
  let refusals = 0;
  lines.forEach((line, at) => {
    if (!/^[a-z_.]+ = /.test(line)) return;
    for (const value of values) {
      const changed = `${line.slice(0, line.indexOf("="))}= ${value}`;
      try {
        if (parseConfig("/etc/stead/stead.toml", lines.with(at, changed).join("\n"), { env }).kind === "invalid")
          refusals++;
      } catch (error) {
        throw new Error(`the loader threw at ${changed}`, { cause: error });
      }
    }
  });
  expect(refusals).toBeGreaterThan(500);
}, 30_000);
