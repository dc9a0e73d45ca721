import { expect, test } from "bun:test";
import { runStead } from "../../support/cli/run-cli.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

const drill = (...args: string[]) =>
  runStead(["drill", ...args, "--gateway", "http://127.0.0.1:9"], { env: { STEAD_SECRET: "s".repeat(64) } });

test("a drill is run without a further word, and needs a gateway that answers", async () => {
  for (const args of [
    ["--kind", "switchover"],
    ["run", "--kind", "switchover", "--for", "20s"],
  ])
    expect(await drill(...args)).toMatchObject({ code: 6 });
});

test("a kind that there is not, and a time without its unit or above a minute, are refused", async () => {
  expect(await drill("--kind", "fire")).toMatchObject({ code: 2, err: expect.stringContaining("partition") });
  for (const time of ["20", "61s", "soon"])
    expect(await drill("--kind", "hang", "--for", time)).toMatchObject({
      code: 2,
      err: expect.stringContaining("to 1m"),
    });
});

test("a drill that ran and took too long is a failed check, one that was refused is not", async () => {
  const cluster = new TestCluster();
  try {
    await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
    const hosts = ["a", "b"].map((id) => ({
      ...{ id, controlUrl: cluster.host(id).controlUrl, priority: undefined, nofailover: undefined },
    }));
    const match = { host: undefined, path: undefined };
    await cluster.startGateway({
      services: [{ name: "notes", match, hosts, rejoin: "auto", objectiveMs: 0, firstByte: [] }],
    });
    await cluster.serving();
    await until(() => cluster.service().hosts.every(({ role }) => role !== null));
    const env = { STEAD_SECRET: secret, STEAD_GATEWAY: `127.0.0.1:${cluster.gateway?.adminPort ?? 0}` };
    const ran = await runStead(["drill", "--kind", "switchover", "--json"], { env, cwd: cluster.folder });
    expect([ran.code, (JSON.parse(ran.out) as { outcome: string }).outcome]).toEqual([9, "missed"]);
    expect((await runStead(["drill", "list", "--service", "notes"], { env, cwd: cluster.folder })).out).toContain(
      "missed",
    );
    await runStead(["pause"], { env, cwd: cluster.folder });
    const refused = await runStead(["drill", "--kind", "switchover", "--json"], { env, cwd: cluster.folder });
    expect([refused.code, refused.out, refused.err.includes("do: ")]).toEqual([5, "", true]);
  } finally {
    await cluster.stop();
  }
});
