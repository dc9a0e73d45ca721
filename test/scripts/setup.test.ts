/** scripts/lib/setup.sh on machines that lack something, with stand-ins for npm and Bun: no network is used. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ProgramRun, runProgram } from "../support/run-program.ts";

const repository = join(import.meta.dirname, "../..");
const pinned = (
  JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { devDependencies: { bun: string } }
).devDependencies.bun;

let folder = "";
let root = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-setup-"));
  root = join(folder, "a clone"); // Paths with a space have to work.
  for (const name of ["bin", "home"]) mkdirSync(join(folder, name));
  mkdirSync(join(root, "scripts/lib"), { recursive: true });
  for (const name of ["package.json", "bun.lock", "scripts/lib/setup.sh"])
    copyFileSync(join(repository, name), join(root, name));
  for (const name of ["sh", "sed", "head", "cat", "cksum", "uname", "mkdir", "dirname", "readlink", "ln", "chmod"]) {
    const path = Bun.which(name);
    if (path === null) throw new Error(`${name} is not on the PATH`);
    symlinkSync(path, join(folder, "bin", name));
  }
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const program = (name: string, text: string): void =>
  writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });

/** A Bun of some version whose `install` puts the pinned one into node_modules, as the lock file says. */
const standInBun = (version: string): string => `
case "$1" in
  --version) echo ${version} ;;
  install) echo "bun $*" >>"${folder}/calls"
    mkdir -p node_modules/@oven/bun-linux-x64/bin
    printf '#!/bin/sh\\n[ "$1" = --version ] && echo ${pinned} || echo "bun $1" >>"${folder}/calls"\\n' >node_modules/@oven/bun-linux-x64/bin/bun
    chmod +x node_modules/@oven/bun-linux-x64/bin/bun ;;
esac`;

function setup(env: Record<string, string> = { HOME: join(folder, "home") }): Promise<ProgramRun> {
  const script = 'set -eu; root=$1; . "$root/scripts/lib/setup.sh"; echo "$bun"; bun --version';
  return runProgram(join(folder, "bin/sh"), ["-c", script, "sh", root], {
    ...{ cwd: process.cwd(), env: { PATH: join(folder, "bin"), ...env } },
  });
}

const calls = (): string => (existsSync(join(folder, "calls")) ? readFileSync(join(folder, "calls"), "utf8") : "");
const ready = () => ({ code: 0, out: `${join(root, "node_modules/@oven/bun-linux-x64/bin/bun")}\n${pinned}\n` });

test("without Bun and npm it says what to install", async () => {
  expect(await setup()).toMatchObject({ code: 1, err: expect.stringContaining("do: install Node 20 or newer") });
});

test("with only npm, exactly the pinned Bun is installed into the clone, without install scripts", async () => {
  program(
    "npm",
    `echo "npm $*" >>"${folder}/calls"; mkdir -p node_modules/@oven/bun-linux-x64/bin; cat >node_modules/@oven/bun-linux-x64/bin/bun <<'END'\n#!/bin/sh${standInBun(pinned)}\nEND\nchmod +x node_modules/@oven/bun-linux-x64/bin/bun`,
  );
  expect(await setup()).toMatchObject(ready());
  expect(calls()).toContain(`--ignore-scripts`);
  expect(calls()).toContain(`bun@${pinned}\n`);
  expect(calls()).toContain("bun install --frozen-lockfile");
});

test("a Bun of another version installs the dependencies, and the pinned one is used from then on", async () => {
  program("bun", standInBun("1.0.0"));
  expect(await setup()).toMatchObject(ready());
});

test("what is installed already is not installed again, until the lock file changes", async () => {
  program("bun", standInBun("1.0.0"));
  await setup();
  await setup();
  expect(
    calls()
      .split("\n")
      .filter((line) => line.startsWith("bun install")),
  ).toHaveLength(1);
  writeFileSync(join(root, "bun.lock"), `${readFileSync(join(root, "bun.lock"), "utf8")}\n`);
  await setup();
  expect(
    calls()
      .split("\n")
      .filter((line) => line.startsWith("bun install")),
  ).toHaveLength(2);
});

test("an empty, a missing and an unusable home folder work", async () => {
  program("bun", `${standInBun("1.0.0")}\n[ "$1" = --version ] || echo "home $HOME" >>"${folder}/calls"`);
  for (const env of [{}, { HOME: "" }, { HOME: "/nonexistent" }]) {
    rmSync(join(root, "node_modules"), { recursive: true, force: true });
    expect(await setup(env)).toMatchObject(ready());
  }
  expect(
    calls()
      .split("\n")
      .filter((line) => line === `home ${join(root, ".bun/home")}`),
  ).toHaveLength(3);
});

test("when the dependencies cannot be installed it says so and stops", async () => {
  program("bun", '[ "$1" = --version ] && echo 1.0.0 && exit 0\nexit 1');
  expect(await setup()).toMatchObject({ code: 1, err: expect.stringContaining("could not be installed") });
});
