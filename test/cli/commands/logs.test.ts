/** `stead logs` through a gateway to the control API of a host. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { runCli } from "../../../src/cli/app.ts";
import { runStead } from "../../support/cli/run-cli.ts";
import { secret, TestCluster } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
let url = "";
beforeAll(async () => {
  cluster = new TestCluster();
  await cluster.addHost("a");
  await cluster.startGateway();
  await cluster.serving();
  url = `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
});
afterAll(() => cluster.stop());

const logs = (args: readonly string[], env: Record<string, string> = { STEAD_SECRET: secret }) =>
  runStead(["logs", ...args, "--gateway", url], { cwd: cluster.folder, env });

test("the host's lines are as in its log, the application's are what it wrote, for people and as JSON", async () => {
  expect(await logs(["a", "--lines", "1"])).toMatchObject({
    code: 0,
    out: "1970-01-01T00:00:01.000Z warn host a: line 3 of stead position=3\n",
  });
  expect((await logs(["a", "--application", "--lines", "1"])).out).toBe(
    "1970-01-01T00:00:01.000Z line 3 of application\n",
  );
  const lines = (await logs(["a", "--json", "--lines", "2"])).out.trim().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
    "line 2 of stead",
    "line 3 of stead",
  ]);
});

test("--follow prints each line once, as it is written, until it is interrupted", async () => {
  const stop = new AbortController();
  let out = "";
  const stream = {
    write(text: string): void {
      out += text;
      if (out.includes("line 6")) stop.abort();
    },
  };
  const process = { stdout: stream, stderr: { write: () => undefined }, env: { STEAD_SECRET: secret } };
  const context = { process, cwd: cluster.folder, signal: stop.signal, exitWith: () => undefined };
  expect(await runCli(["logs", "a", "--follow", "--lines", "1", "--gateway", url], context)).toBe(0);
  expect(out.match(/line \d/g)).toEqual(["line 3", "line 4", "line 5", "line 6"]);
});

test("a viewer may not read them, and a host that is not there is refused", async () => {
  const added = await cluster.client.addToken({ name: "v", role: "viewer", validMs: null });
  const token = added.kind === "ok" ? added.value.token : "";
  expect(await logs(["a"], { STEAD_TOKEN: token })).toMatchObject({
    code: 5,
    err: expect.stringContaining('the token "v" has the role viewer'),
  });
  expect((await logs(["z"])).code).toBe(5);
});
