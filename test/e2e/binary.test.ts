/** The compiled executable alone: built once, started in an empty folder with an empty home and nothing on the PATH. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../support/http/raw-client.ts";
import { buildBinary, buildMsMax } from "./built-binary.ts";
import { type ProgramRun, runProgram } from "../support/run-program.ts";
import { canMount, withMount } from "./mounts.ts";

let folder = "";
let binary = "";
let work = "";

const stead = (...args: string[]): Promise<ProgramRun> =>
  runProgram(binary, args, { cwd: work, env: { HOME: join(folder, "home"), PATH: "" } });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "stead-binary-"));
  binary = join(folder, "bin", "stead");
  work = join(folder, "work");
  mkdirSync(work);
  mkdirSync(join(folder, "home"));
  await buildBinary(binary);
}, buildMsMax);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the build leaves one executable and nothing else", () => {
  expect(readdirSync(join(folder, "bin"))).toEqual(["stead"]);
  expect(statSync(binary).mode & 0o111).not.toBe(0);
});

test("it explains itself and knows its version and the commit it was built from", async () => {
  expect(await stead("--help")).toMatchObject({ code: 0, err: "", out: expect.stringContaining("EXIT CODES") });
  expect((await stead("--version")).out).toMatch(/^\d+\.\d+\.\d+(\+[0-9a-f]{7,}(-dirty)?)?\n$/);
});

test("both SQLite libraries are inside: node:sqlite answers, and libSQL's native module loads", async () => {
  const { code, out, err } = await stead("version", "--json");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(JSON.parse(out)).toMatchObject({
    sqlite: expect.stringMatching(/^3\./),
    libsql: expect.stringMatching(/^3\./),
  });
});

test.skipIf(!canMount)(
  "a folder for temporary files that executes nothing does not keep libSQL from loading",
  async () => {
    const temporary = join(folder, "temporary");
    mkdirSync(temporary);
    await withMount(temporary, "noexec", async () => {
      const env = { HOME: join(folder, "home"), PATH: "", TMPDIR: temporary };
      const refused = await runProgram(binary, ["version"], { cwd: work, env });
      expect(refused.code).toBe(7);
      expect(refused.err).toContain(temporary);
      expect(refused.err).toContain("STEAD_TMP");
      expect(refused.err).toContain("gateway.database");
      expect(await runProgram(binary, ["version"], { cwd: work, env: { ...env, STEAD_TMP: work } })).toMatchObject({
        code: 0,
        err: "",
      });
      const state = join(folder, "state");
      mkdirSync(state);
      const config = join(state, "gateway.toml");
      writeFileSync(
        config,
        '[cluster]\nsecret = "0123456789abcdef"\n[gateway]\nid = "g"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\ndatabase = "g.db"\n',
      );
      const gateway = spawn(binary, ["gateway", config], { cwd: work, env, stdio: "ignore" });
      const ended = new Promise((resolve) => gateway.on("exit", resolve));
      try {
        await waitFor(() => existsSync(join(state, "g.db")));
      } finally {
        gateway.kill("SIGTERM");
        await ended;
      }
      expect(readdirSync(state).filter((name) => name.endsWith(".node"))).toEqual([]);
    });
  },
);

test("what commands import only when they run is inside as well", async () => {
  const made = await stead("init", "conf", "--vault", join(folder, "vault"), "--create-vault");
  expect({ code: made.code, err: made.err }).toEqual({ code: 0, err: "" });
  expect(await stead("config", "check", "conf/stead.toml")).toMatchObject({ code: 0, err: "" });
  expect(await stead("host", "conf/missing.toml")).toMatchObject({ code: 3 });
});

test("it reads neither .env nor bunfig.toml of the folder it is started in", async () => {
  writeFileSync(join(work, ".env"), "STEAD_SECRET=0123456789abcdef\n");
  writeFileSync(join(work, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
  writeFileSync(join(work, "preload.ts"), 'console.log("preloaded");\n');
  writeFileSync(join(work, "gateway.toml"), '[gateway]\nid = "g"\nlisten = "127.0.0.1:0"\ndatabase = "g.db"\n');
  const { code, out, err } = await stead("config", "check", "gateway.toml");
  expect({ code, out }).toEqual({ code: 3, out: "" });
  expect(err).toContain("found no secret");
});
