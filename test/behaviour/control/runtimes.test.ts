/**
 * What both APIs stand on (src/control/server), and the metrics, under Node and Deno: as a child process of each that
 * is here.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleFor, findRuntime, type RuntimeName } from "../../../scripts/proxy-bench/runtimes.ts";
import { bearer } from "../../../src/control/bearer.ts";
import { sampleOf } from "../../support/metrics/promtool.ts";

setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "stead-api-runtimes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const secret = "s".repeat(32);

for (const name of ["node", "deno"] satisfies RuntimeName[]) {
  const runtime = findRuntime(name);
  if (runtime === undefined) {
    console.log(`${name} is not here (npm package in .bun/runtimes, or on the PATH): the API is not tested on it`);
    continue;
  }
  test(`${name} ${runtime.version} authenticates, limits and checks bodies, serves metrics, and closes`, async () => {
    const [program, ...leading] = runtime.command;
    const script = await bundleFor(join(import.meta.dirname, "../../support/control/runtime-child.ts"), folder);
    const child = spawn(program, [...leading, script, secret], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(child, "exit");
    try {
      const [line] = (await once(child.stdout, "data")) as [Buffer];
      const url = `http://127.0.0.1:${line.toString().trim()}`;
      const headers = { authorization: bearer(secret) };
      const post = async (body: string) => {
        const answer = await fetch(`${url}/v1/removed`, { method: "POST", headers, body });
        return [answer.status, ((await answer.json()) as { code?: string }).code];
      };
      expect((await fetch(`${url}/metrics`)).status).toBe(401);
      const answer = await fetch(`${url}/metrics`, { headers });
      expect([answer.status, answer.headers.get("content-type")]).toEqual([
        200,
        "text/plain; version=0.0.4; charset=utf-8",
      ]);
      const labels = '{operation="put",result="ok"}';
      expect(sampleOf(await answer.text(), `stead_vault_operation_seconds_count${labels}`)).toBe(1);
      expect([
        await post('{"gateway":"gw1"}'),
        await post('{"gateway":"a b"}'),
        await post("{"),
        await post("x".repeat(300_000)),
      ]).toEqual([
        [200, undefined],
        [400, "malformed"],
        [400, "malformed"],
        [413, "too-large"],
      ]);
      child.stdin.end();
      expect(await ended).toEqual([0, null]);
    } finally {
      child.kill("SIGKILL");
    }
  });
}
