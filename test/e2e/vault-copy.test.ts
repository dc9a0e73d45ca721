/** The vault and everything else are lost: what the primary copied comes back in a new vault, and gateways take it. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { demoApplication } from "../../harness/applications.ts";
import { type Bench, never, openBench, runStead } from "./harness.ts";
import { InterruptedLoad } from "./interrupted-load.ts";

setDefaultTimeout(60_000);

const wholeWithinMs = 30_000;
let bench: Bench;
afterEach(() => bench.close());

/** Files beside the database: small ones share a chunk, and one has several. */
const uploaded: readonly (readonly [string, Buffer])[] = [
  ["note.txt", Buffer.from("kept")],
  ["empty", Buffer.alloc(0)],
  ["photo", Buffer.from(Array.from({ length: 600_000 }, (_, at) => (at * 7919) % 251))],
];

const cases = [
  { log: "objects", vaultKeys: "encrypted" },
  { log: "segments", vaultKeys: "none" },
] as const;

for (const { log, vaultKeys } of cases) {
  test(`a vault with its log in ${log} and keys ${vaultKeys} is lost with every process: its copy is promoted, and has all that was copied`, async () => {
    bench = openBench();
    const copy = bench.subfolder("copy");
    const application = demoApplication("notes", bench.folder);
    const hostExtra = `\n[[host.vault_copy]]\nto = "../copy"\n`;
    const hostKeys = 'files = ["uploads/**"]\n';
    const cluster = await bench.cluster({ application, log, vaultKeys, hostExtra, hostKeys, hosts: 2, gateways: 2 });
    const members = [...cluster.gateways, ...cluster.hosts];
    await Promise.all(members.map((member) => cluster.start(member)));
    await cluster.whenWhole(wholeWithinMs, never);

    const interrupted = new InterruptedLoad({ cluster, application, workers: 4, requestsPerSecond: 100 });
    const load = await interrupted.begin(3);
    const uploads = join((await cluster.primary())?.host.folder ?? "", "data", "uploads");
    mkdirSync(uploads);
    for (const [name, content] of uploaded) writeFileSync(join(uploads, name), content, { mode: 0o640 });
    await interrupted.acknowledged(100);
    await load.stop();
    await load.close();

    const written = (await cluster.primary())?.status.position ?? Infinity;
    const copiedTo = async (): Promise<number | undefined> => {
      const position = (await cluster.primary())?.status.vaultCopies[0]?.position ?? 0;
      return position >= written ? position : undefined;
    };
    const copied = await cluster.until("the copy", wholeWithinMs, never, () => "it is behind", copiedTo);
    const lost = (await cluster.primary())?.status;

    for (const member of members) member.process?.signal("SIGKILL");
    await Promise.all(members.map((member) => member.process?.ended));
    rmSync(join(bench.folder, "vault"), { recursive: true });
    // The machines are other ones.
    for (const { folder } of cluster.hosts) rmSync(join(folder, "data"), { recursive: true });

    const config = cluster.hosts[0]?.configFile ?? "";
    const stead = (...args: string[]) => runStead([...args, "--config", config, "--json"], { withinMs: 60_000 });
    const verified = await stead("vault", "verify", "--from", copy);
    expect(verified.stderr).toBe("");
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true });
    const asked = await stead("vault", "promote-copy", copy);
    expect(JSON.parse(asked.stdout)).toMatchObject({ done: false, lostAfter: { epoch: lost?.epoch } });
    const promoted = await stead("vault", "promote-copy", copy, "--yes", "--log", log);
    expect(promoted.stderr).toBe("");
    const { lostAfter, epoch } = JSON.parse(promoted.stdout) as { lostAfter: { position: number }; epoch: number };
    expect(lostAfter.position).toBeGreaterThanOrEqual(copied);
    expect(epoch).toBeGreaterThan(lost?.epoch ?? Infinity);

    mkdirSync(join(bench.folder, "next-copy"));
    for (const { configFile } of cluster.hosts)
      writeFileSync(configFile, readFileSync(configFile, "utf8").replace("../copy", "../next-copy"));
    await Promise.all(members.map((member) => cluster.start(member)));
    const primary = await cluster.whenWhole(wholeWithinMs, never);
    expect((await cluster.statusOf(primary))?.epoch).toBe(epoch + 1);
    const after = await interrupted.begin(4);
    await interrupted.acknowledged(50);
    await interrupted.expectNothingLost(after);
    for (const { folder } of cluster.hosts)
      for (const [name, content] of uploaded) {
        const path = join(folder, "data", "uploads", name);
        expect(statSync(path).mode & 0o777).toBe(0o640);
        expect(content.equals(readFileSync(path))).toBe(true);
      }
    const again = await stead("vault", "promote-copy", copy, "--yes");
    expect(again.stderr).toContain("in use already");
  }, 120_000);
}
