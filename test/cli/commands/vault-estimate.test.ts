import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "stead-vault-estimate-"));
  await runStead(["init", "--role", "host", "--service", "notes", "--vault", "vault"], { cwd: folder });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const estimate = (...args: string[]) => runStead(["vault", "estimate", ...args], { cwd: folder });

function moveToBucket(): void {
  const file = join(folder, "stead.toml");
  const text = readFileSync(file, "utf8").replace(/^vault = .*$/m, 'vault = "s3://bucket/notes"');
  writeFileSync(file, `${text}\n[host.vault_s3]\nendpoint = "https://s3.eu-central-1.amazonaws.com"\n`);
}

test("the estimate of a bucket takes lease and poll from the configuration, and the load from the flags", async () => {
  moveToBucket();
  const { code, out, err } = await estimate("--commits", "25", "--json");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const { idle, busy } = JSON.parse(out);
  expect(idle.gets).toBe(2_592_000 * 4.5);
  expect(busy.puts).toBe(2_592_000 * (25 + 0.2));
  const table = (await estimate("--commits", "25")).out;
  expect(table.split("\n").map((line) => line.split(/\s{2,}/)[0])).toEqual(["LOAD", "idle", "25 commits/s", ""]);
  expect(table).toContain(busy.usd.all.toFixed(2));
});

test("a vault that is no bucket costs no requests: exit code 3 says so", async () => {
  expect(await estimate()).toMatchObject({ code: 3, err: expect.stringContaining("cost nothing") });
});

test("a load of nothing and a size without its unit are refused", async () => {
  moveToBucket();
  expect(await estimate("--commits", "0")).toMatchObject({ code: 2, err: expect.stringContaining("above 0") });
  expect(await estimate("--commit-size", "8")).toMatchObject({ code: 2, err: expect.stringContaining("KiB") });
});
