/**
 * The npm package under Node and Deno, unpacked as a package manager does it, with its dependencies beside it: the
 * whole demo, hosts and gateway with a failover, from its command.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRuntime, type RuntimeName } from "../../scripts/lib/runtimes.ts";
import { npmPackage } from "../../scripts/packaging/npm-package.ts";
import { runProgram } from "../support/run-program.ts";

setDefaultTimeout(180_000);

const folder = mkdtempSync(join(tmpdir(), "stead-npm-"));
const main = join(folder, "package", "lib", "stead.js");
const env = { PATH: process.env["PATH"] ?? "", HOME: folder };

beforeAll(async () => {
  writeFileSync(join(folder, "stead.tgz"), await npmPackage("", 1_700_000_000));
  const unpacked = await runProgram("tar", ["-xzf", "stead.tgz"], { cwd: folder, env });
  expect(unpacked).toMatchObject({ code: 0, err: "" });
  symlinkSync(join(import.meta.dirname, "../../node_modules"), join(folder, "package", "node_modules"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a program in TypeScript compiles with the package's types, and one that misuses them does not", async () => {
  const program = join(folder, "program");
  mkdirSync(join(program, "node_modules"), { recursive: true });
  symlinkSync(join(folder, "package"), join(program, "node_modules", "stead"));
  const compile = async (text: string): Promise<string> => {
    writeFileSync(join(program, "main.ts"), text);
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--skipLibCheck", "--preserveSymlinks", "main.ts"];
    const tsc = join(import.meta.dirname, "../../node_modules/typescript/bin/tsc");
    const { out, err } = await runProgram(process.execPath, [tsc, ...options], { cwd: program, env });
    return out + err;
  };
  symlinkSync(join(import.meta.dirname, "../../node_modules/hono"), join(program, "node_modules", "hono"));
  const right =
    'import { gateway } from "stead";\nconst front = await gateway({ config: "stead.toml" });\nfront.app.fetch;\n';
  writeFileSync(join(program, "package.json"), '{ "type": "module" }');
  expect(await compile(`${right}export const port: number = front.port;\n`)).toBe("");
  expect(await compile(`${right}export const port: string = front.port;\n`)).toContain("TS2322");
});

for (const name of ["node", "deno"] satisfies RuntimeName[]) {
  const runtime = findRuntime(name);
  if (runtime.kind === "missing") {
    console.log(`the npm package is not tested under ${name}: ${runtime.why}`);
    continue;
  }
  describe(`${name} ${runtime.version}`, () => {
    const cwd = join(folder, name);
    const run = (...args: readonly string[]) => {
      // As docs/PLATFORMS.md says: with the package's own configuration, which names its dependencies.
      const leading = name === "deno" ? ["run", "--allow-all"] : [];
      return runProgram(runtime.command[0], [...leading, main, ...args], { cwd, env });
    };
    beforeAll(() => mkdirSync(cwd));

    test("stead demo: a killed primary, its successor, nothing lost, and a clean end", async () => {
      const { code, out, err } = await run("demo", "--kills", "1", "--duration", "3s", "--seed", "1");
      expect({ code, err, out: code === 0 ? "" : out }).toEqual({ code: 0, err: "", out: "" });
      // Not always host-1: one that starts slowly may have been replaced already.
      expect(out).toMatch(/host-\d killed, host-\d serves/);
      expect(out).toContain(" 0 missing");
    });
  });
}
