/**
 * B6, the whole: the cluster's secret, and then its authority and all certificates, are replaced under load. No request
 * fails, no host is replaced. The command refuses to take the former secret away before every process has read the new
 * one, also across an upgrade of a gateway in place. Who stays behind is told, on both sides.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { demoApplication } from "../../harness/applications.ts";
import type { Cluster, Member } from "../../harness/cluster.ts";
import { History } from "../../harness/history.ts";
import { Load } from "../../harness/load.ts";
import { clusterNameDefault } from "../../src/control/channel/keyring.ts";
import { hostParty, type Party } from "../../src/control/channel/transcript.ts";
import { issueCertificate, makeAuthority } from "../../src/control/tls/issue.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Bench, never, openBench, runStead } from "../e2e/harness.ts";

// Generous: this test waits for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

const withinMs = 30_000;
let bench: Bench;
let load: Load | undefined;
afterEach(async () => {
  await load?.close();
  await bench.close();
});

function replace(path: string, text: string): void {
  writeFileSync(`${path}.draft`, text, { mode: 0o600 });
  renameSync(`${path}.draft`, path);
}

const secretOf = (member: Member): string => join(member.folder, "secret");
const logOf = (member: Member): string => readFileSync(member.logFile, "utf8");
const membersOf = (cluster: Cluster): readonly Member[] => [...cluster.gateways, ...cluster.hosts];

/** Each member on a machine of its own: with its own copy of the secret. */
function separate(cluster: Cluster): void {
  for (const member of membersOf(cluster)) {
    copyFileSync(join(bench.folder, "secret"), secretOf(member));
    const text = readFileSync(member.configFile, "utf8").replace('"../secret"', '"secret"');
    writeFileSync(member.configFile, text);
  }
}

function until(cluster: Cluster, what: string, look: () => boolean | Promise<boolean>): Promise<true> {
  return cluster.until(
    what,
    withinMs,
    never,
    () => "it is not so",
    async () => ((await look()) ? true : undefined),
  );
}

const timesIn = (text: string, part: string): number => text.split(part).length - 1;

const partyOf = (member: Member): Party =>
  member.role === "host" ? hostParty("notes", member.id) : { role: "gateway", id: member.id };

/** Waits until all have read their certificates for the nth time. */
const whenReloaded = (cluster: Cluster, nth: number): Promise<true> =>
  until(cluster, `the certificates to be read ${nth} times`, () =>
    membersOf(cluster).every((member) => timesIn(logOf(member), "certificates of the cluster reloaded") >= nth),
  );

test("secret, authority and certificates are replaced under load without a failed request", async () => {
  bench = openBench();
  const application = demoApplication("notes", bench.folder);
  const cluster = await bench.cluster({ application, gateways: 2, isTls: true, vaultKeys: "encrypted" });
  separate(cluster);
  const [first, second] = cluster.gateways;
  if (first === undefined || second === undefined) return expect.unreachable();
  await Promise.all(membersOf(cluster).map((member) => cluster.start(member)));
  const primary = await cluster.whenWhole(withinMs, never);
  const epoch = (await cluster.statusOf(primary))?.epoch;
  const secondary = cluster.hosts.find((host) => host !== primary) ?? expect.unreachable();
  const isServing = ({ url }: { url: string }) =>
    fetch(url + application.readPath)
      .then(({ ok }) => ok)
      .catch(() => false);
  await until(cluster, "both gateways to serve", async () => (await isServing(first)) && (await isServing(second)));
  load = new Load({
    ...{ urls: [first.url, second.url], model: application.makeModel("p", 4), history: new History() },
    ...{ clock: systemClock, seed: 1, workers: 4, requestsPerSecond: 40, timeoutMs: 20_000 },
  });
  await load.start();

  const rotate = (...flags: string[]) => runStead(["secret", "rotate", "--config", first.configFile, ...flags]);
  const former = readFileSync(secretOf(first), "utf8");
  expect((await rotate("--status")).code).toBe(0);
  const begun = await rotate();
  expect([begun.code, begun.stderr]).toEqual([9, ""]);
  expect(begun.stdout).toContain(`host:notes/${secondary.id}`);
  copyFileSync(secretOf(first), secretOf(second));
  copyFileSync(secretOf(first), secretOf(primary));
  await until(cluster, "the primary to read it", () => logOf(primary).includes("secret of the cluster reloaded"));
  // An upgrade in the middle: the process that takes over reads the file that is there.
  second.process?.signal("SIGUSR2");
  await until(cluster, "the upgrade", () => logOf(second).includes("upgraded: the new process serves"));
  const refused = await rotate();
  expect(refused.code).toBe(9);
  expect(refused.stdout).toMatch(new RegExp(`host:notes/${secondary.id} .*not known`));
  expect(refused.stdout).toMatch(new RegExp(`host:notes/${primary.id} .* known`));
  expect(readFileSync(secretOf(first), "utf8")).toContain(former.trim());
  copyFileSync(secretOf(first), secretOf(secondary));
  const done = await rotate("--wait", "20s");
  expect([done.code, done.stderr]).toEqual([0, ""]);
  const present = readFileSync(secretOf(first), "utf8");
  expect(present).not.toContain(former.trim());
  for (const member of membersOf(cluster)) if (member !== first) copyFileSync(secretOf(first), secretOf(member));
  await until(cluster, "the end of the former secret", async () => (await rotate("--status")).code === 0);

  const validity = { nowMs: systemClock.wallTime(), days: 90 };
  const authority = await makeAuthority(clusterNameDefault, validity);
  const authorities = join(bench.folder, "ca.pem");
  replace(authorities, authority.cert + readFileSync(authorities, "utf8"));
  await whenReloaded(cluster, 1);
  for (const member of membersOf(cluster)) {
    const identity = { cluster: clusterNameDefault, party: partyOf(member) };
    const { cert, key } = await issueCertificate(authority, [identity], validity);
    replace(join(member.folder, "tls.key"), key);
    replace(join(member.folder, "tls.pem"), cert);
  }
  await whenReloaded(cluster, 2);
  replace(authorities, authority.cert);
  await whenReloaded(cluster, 3);
  const answered = load.counts.ok;
  await until(cluster, "requests after it all", () => (load?.counts.ok ?? 0) > answered + 20);
  await load.stop();
  expect([load.counts.failed, load.counts.unknown, load.failures]).toEqual([0, 0, []]);
  const events = (await runStead(["status", "--config", first.configFile, "--json"])).stdout;
  const { services, troubles } = JSON.parse(events) as {
    services: { primary: string; epoch: number }[];
    troubles: string[];
  };
  expect([services[0]?.primary, services[0]?.epoch, troubles]).toEqual([primary.id, epoch, []]);

  // A gateway that is given a wrong secret; a host that was down, and returns with the former one.
  replace(secretOf(second), "a-secret-of-another-cluster\n");
  const said = async () => (await runStead(["status", "--config", second.configFile, "--json"])).stdout;
  await until(cluster, "the gateway to say so", async () => (await said()).includes("is not the cluster's"));
  expect(logOf(primary)).toMatch(/refused a call under another secret.*gateway:gateway-2/);
  secondary.process?.signal("SIGTERM");
  await secondary.process?.ended;
  replace(secretOf(secondary), former);
  await cluster.start(secondary);
  expect((await secondary.process?.ended)?.code).toBe(4);
  expect(logOf(secondary)).toContain(`over ${secretOf(secondary)}`);
});
