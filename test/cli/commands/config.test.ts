import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-check-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("every problem is printed as a compiler prints it, and the exit code is 3", async () => {
  writeFileSync(join(folder, "stead.toml"), '[gateway]\nid = "G"\nlisten = "127.0.0.1"\n');
  const run = await runStead(["config", "check"], { cwd: folder, env: { STEAD_SECRET: "0123456789abcdef" } });
  expect(run).toMatchObject({ code: 3, out: "" });
  expect(run.err).toContain('stead.toml:2:1: error: gateway.id: found "G"\n  accepted: ');
  expect(run.err).toContain('stead.toml:3:1: error: gateway.listen: found "127.0.0.1"\n  accepted: ');
  expect(run.err).toContain("stead: 3 problems in stead.toml");
});

test("with --json the same is printed as one object, with the same exit code", async () => {
  writeFileSync(join(folder, "x.toml"), '[gateway]\nid = "G"\n');
  const run = await runStead(["config", "check", "x.toml", "--json"], { cwd: folder });
  expect(run).toMatchObject({ code: 3, err: "" });
  const answer = JSON.parse(run.out) as { ok: boolean; problems: { key: string; line: number }[] };
  expect(answer.ok).toBe(false);
  expect(answer.problems.map(({ key, line }) => ({ key, line }))).toContainEqual({ key: "gateway.id", line: 2 });
});

test("a warning does not change the exit code", async () => {
  writeFileSync(join(folder, "stead.toml"), '[cluster]\nsecret = "0123456789abcdef"\n[[service]]\nname = "a"\n', {
    mode: 0o644,
  });
  const run = await runStead(["config", "check"], { cwd: folder });
  expect(run.code).toBe(0);
  expect(run.err).toContain("warning: cluster.secret");
});

test("the folders of a host are printed with --json as without, with the same exit code", async () => {
  await runStead(["init", "--service", "notes", "--vault", "vault"], { cwd: folder });
  const file = join(folder, "stead.toml");
  // No user can write below a file, not even root.
  writeFileSync(join(folder, "plain"), "");
  writeFileSync(file, readFileSync(file, "utf8").replace(/^data = .*$/m, 'data = "plain/data"'));
  const text = await runStead(["config", "check"], { cwd: folder });
  const json = await runStead(["config", "check", "--json"], { cwd: folder });
  expect([text.code, json.code, json.err]).toEqual([3, 3, ""]);
  expect(text.err).toContain("host.data: ");
  expect(JSON.parse(json.out)).toMatchObject({
    ok: false,
    problems: expect.arrayContaining([
      expect.objectContaining({
        key: "host.data",
        line: null,
        found: expect.stringContaining("cannot write"),
        advice: expect.any(String),
      }),
    ]),
  });
});
