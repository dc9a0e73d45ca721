/** What `stead secret rotate --json` says of a rotation; test/security/B6-rotation.test.ts rotates a whole cluster. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runStead } from "../../support/cli/run-cli.ts";
import { secret, TestCluster } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
beforeEach(async () => {
  cluster = new TestCluster();
  await cluster.addHost("a");
  await cluster.startGateway();
  await cluster.serving();
  const gateway = `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
  writeFileSync(join(cluster.folder, "s"), `${secret}\n`, { mode: 0o600 });
  writeFileSync(join(cluster.folder, "stead.toml"), `[cluster]\nsecret_file = "s"\ngateway = "${gateway}"\n`);
});
afterEach(() => cluster.stop());

async function rotate(...flags: string[]): Promise<{ code: number; report: object }> {
  const { code, out } = await runStead(["secret", "rotate", "--json", ...flags], { cwd: cluster.folder });
  return { code, report: JSON.parse(out) as object };
}

const file = (): string => readFileSync(join(cluster.folder, "s"), "utf8");
// The hosts of this cluster are fakes that tell nothing of secrets.
const hostNeedNot = ["--without", "host:notes/a"];

test("before a rotation it names the secret's file, and each process that has another one or tells nothing", async () => {
  expect(await rotate("--status", ...hostNeedNot)).toMatchObject({
    code: 0,
    report: {
      rotation: "none",
      formerUntil: null,
      processes: [
        { process: "gateway:g1", knowsNew: true, former: "no longer", from: "given", advice: null },
        {
          process: "host:notes/a",
          knowsNew: false,
          former: "-",
          from: "-",
          advice: expect.stringContaining("upgrade"),
        },
      ],
    },
  });
  expect(file()).toBe(`${secret}\n`);
});

test("a rotation that it begins is one object too, with what to do for each process that lacks the new secret", async () => {
  expect(await rotate(...hostNeedNot)).toMatchObject({
    code: 9,
    report: {
      rotation: "begun",
      file: join(cluster.folder, "s"),
      formerUntil: expect.stringMatching(/^\d{4}-.*Z$/),
      processes: [
        { process: "gateway:g1", knowsNew: false, advice: expect.stringContaining("restart") },
        { process: "host:notes/a" },
      ],
    },
  });
  expect(file()).toContain(secret);
  expect(file()).not.toStartWith(secret);
  expect(await rotate(...hostNeedNot)).toMatchObject({ code: 9, report: { rotation: "waiting" } });
});
