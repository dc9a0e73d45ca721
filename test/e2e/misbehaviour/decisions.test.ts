/**
 * Which host becomes primary, and when none should: vaults that are read-only, stale or away, causes that meet every
 * primary, wrong clocks.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HostMember, MemberPlaces } from "../../../harness/cluster.ts";
import { exitCodes } from "../../../src/cli/output/exit-codes.ts";
import { GatewayClient } from "../../../src/control/gateway-client.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { runStead } from "../harness.ts";
import { missingForNamespaces } from "../netns/missing.ts";
import { VaultAccess } from "../netns/vault-access.ts";
import { Beside, edit, Stage } from "./stage.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

const service = "rude";
const missing = missingForNamespaces();
if (missing !== undefined) console.log(`skipped, a vault that one host cannot write: ${missing}`);

let stage: Stage;
const closers: (() => void)[] = [];
afterEach(async () => {
  await stage.close();
  for (const close of closers.splice(0)) close();
});

const onLoopback = (vault: string): MemberPlaces => ({
  addressOf: () => "127.0.0.1",
  vaultOf: () => vault,
  vault,
  commandOf: (_, command) => command,
});

/** Every host sees the vault through a mount of its own, which can be taken from it alone. */
async function openWithVaultAccess(): Promise<VaultAccess> {
  let access: VaultAccess | undefined;
  stage = await Stage.open({
    places: (folder) => {
      const made = new VaultAccess(folder);
      access = made;
      const inItsOwn = (id: string, command: readonly [string, ...string[]]): readonly [string, ...string[]] => [
        "unshare",
        "-m",
        "--propagation",
        "private",
        ...made.commandOf(id, command),
      ];
      return {
        ...onLoopback(made.vault),
        vaultOf: (id) => made.pathOf(id),
        commandOf: (id, command) => (id.startsWith("host-") ? inItsOwn(id, command) : command),
      };
    },
  });
  if (access === undefined) throw new Error("the cluster did not ask where its members live");
  const opened = access;
  closers.push(() => opened.close());
  return opened;
}

async function prefer(host: HostMember): Promise<void> {
  expect((await stage.admin().changeHost(service, host.id, { priority: 10 })).kind).toBe("ok");
  await stage.until(
    "the priority to count",
    async () => (await stage.service()).hosts.find(({ id }) => id === host.id)?.priority === 10,
  );
}

async function kill(host: HostMember): Promise<void> {
  host.process?.signal("SIGKILL");
  await host.process?.ended;
}

const untilPrimary = (host: HostMember): Promise<void> =>
  stage.until(`${host.id} to be primary`, async () => (await stage.cluster.primary())?.host === host);

test.skipIf(missing !== undefined)(
  "a candidate that cannot write the vault is not chosen, though it has the higher priority",
  async () => {
    const access = await openWithVaultAccess();
    const first = await stage.primary();
    const [unwell, well] = await stage.secondaries();
    if (unwell === undefined || well === undefined) throw new Error("there are no secondaries");
    await prefer(unwell);
    await access.cut(unwell.id, unwell.process?.pid ?? 0, "read-only");
    await kill(first);
    await untilPrimary(well);
    expect((await stage.ask("POST", "/rows")).status).toBe(201);
  },
);

test.skipIf(missing !== undefined)("--force is obeyed while a candidate is asked that does not get on", async () => {
  const access = await openWithVaultAccess();
  const first = await stage.primary();
  const [hanging, well] = await stage.secondaries();
  if (hanging === undefined || well === undefined) throw new Error("there are no secondaries");
  await prefer(hanging);
  await access.cut(hanging.id, hanging.process?.pid ?? 0, "hang");
  await kill(first);
  const { code, stderr } = await runStead(["failover", well.id, "--force", "--config", stage.gateway.configFile]);
  expect([code, stderr]).toEqual([exitCodes.ok, expect.any(String)]);
  await untilPrimary(well);
});

test("a host on a stale copy of the vault does not become primary, though it has the higher priority, and says why", async () => {
  stage = await Stage.open();
  const first = await stage.primary();
  const [stale, well] = await stage.secondaries();
  if (stale === undefined || well === undefined) throw new Error("there are no secondaries");
  await kill(stale);
  cpSync(join(stage.bench.folder, "vault"), join(stage.bench.folder, "stale-vault"), { recursive: true });
  edit(stale.configFile, (text) => text.replace(/^vault = .*$/m, 'vault = "../stale-vault"'));
  for (let nth = 0; nth < 20; nth += 1) expect((await stage.ask("POST", "/rows")).status).toBe(201);
  await stage.cluster.start(stale);
  await stage.until("it to follow its copy", async () => (await stage.statusOf(stale))?.role === "secondary");
  await prefer(stale);
  await kill(first);
  await untilPrimary(well);
  expect((await stage.ask("GET", "/rows")).text).toBe("20");

  await kill(well);
  await stage.until("it to be said", async () => {
    const { events, reason } = await stage.service();
    return /not the vault of this service|lost records/.test(
      `${reason ?? ""} ${events.map(({ detail }) => detail).join(" ")}`,
    );
  });
  expect((await stage.cluster.primary())?.host).toBeUndefined();
  await stage.cluster.start(well);
  await untilPrimary(well);
  await stage.until("clients to be answered", async () => (await stage.ask("GET", "/rows")).text === "20");
});

test("a vault that no host reaches causes no failover: held requests are answered when it is back, and status says what they wait for", async () => {
  stage = await Stage.open();
  const primary = await stage.primary();
  const epoch = await stage.epoch();
  const { pid } = stage.applicationOf(primary);
  const [vault, away] = [join(stage.bench.folder, "vault"), join(stage.bench.folder, "vault-away")];
  renameSync(vault, away);
  const waiting = stage.ask("POST", "/rows");
  const args = ["status", "--config", stage.gateway.configFile];
  await stage.until("status to say it", async () => {
    const { code, stdout } = await runStead(args);
    return code === exitCodes.verdict && /vault/.test(stdout);
  });
  const health = await fetch(`${stage.gateway.adminUrl}/health`);
  expect(await health.text()).toMatch(/vault/);
  // For so long a needless failover had come, with the vault away.
  await systemClock.sleep(6_000);
  renameSync(away, vault);
  expect((await waiting).status).toBe(201);
  await stage.until("status to be well again", async () => (await runStead(args)).code === exitCodes.ok);
  expect([(await stage.primary()).id, await stage.epoch(), stage.applicationOf(await stage.primary()).pid]).toEqual([
    primary.id,
    epoch,
    pid,
  ]);
  await stage.expectNoHostLost();
});

test("more connections than a host's descriptors allow move no primary: those beyond are refused, and counted", async () => {
  const bounded = (folder: string): MemberPlaces => ({
    ...onLoopback(join(folder, "vault")),
    commandOf: (id, command) =>
      id.startsWith("host-") ? ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh", ...command] : command,
  });
  stage = await Stage.open({ places: bounded });
  const [epoch, primary] = [await stage.epoch(), await stage.primary()];
  const refused = async (): Promise<number> => {
    const headers = { authorization: `Bearer ${stage.cluster.secret}` };
    const text = await (await fetch(`${primary.controlUrl}/metrics`, { headers })).text();
    return Number(/^stead_front_connections_refused_total (\d+)/m.exec(text)?.[1] ?? 0);
  };
  const clients = new Beside(stage, { clients: 190, perSecond: 190, path: "/late?s=20" });
  await stage.until("connections beyond the bound to be refused", async () => (await refused()) > 0);
  // So many epochs came in four seconds when descriptors ran out: the clients keep asking for longer.
  await systemClock.sleep(8_000);
  expect((await stage.epoch()) - epoch).toBe(0);
  const status = await stage.statusOf(primary);
  expect(status?.impairments).toEqual([]);
  await clients.stop();
  await stage.expectNoHostLost();
});

test("a gateway whose clock was once a day ahead is taken back by its peers when it is right again", async () => {
  const ahead = "const now = Date.now; Date.now = () => now() + 25 * 3600 * 1000;";
  const isWrong = { now: true };
  stage = await Stage.prepare({
    gateways: 3,
    places: (folder) => {
      const file = join(folder, "ahead.ts");
      writeFileSync(file, `${ahead}\n`);
      return {
        ...onLoopback(join(folder, "vault")),
        commandOf: (id, command) =>
          id === "gateway-2" && isWrong.now ? [process.execPath, "--preload", file, ...command.slice(1)] : command,
      };
    },
  });
  await stage.startAll();
  await stage.whole();
  const [gateway, wrong] = stage.cluster.gateways;
  if (gateway === undefined || wrong === undefined) throw new Error("there are no gateways");
  const troublesOf = async (): Promise<readonly (string | null)[]> => {
    const answer = await new GatewayClient(gateway.adminUrl, stage.cluster.secret, systemClock).cluster();
    return answer.kind === "ok"
      ? answer.value.gateways.filter(({ id, self }) => !self && id === wrong.id).map(({ trouble }) => trouble)
      : [];
  };
  await stage.until("its peers to say so", async () =>
    (await troublesOf()).some((trouble) => trouble !== null && /clock|ahead|future/.test(trouble)),
  );
  wrong.process?.signal("SIGTERM");
  await wrong.process?.ended;
  isWrong.now = false;
  await stage.cluster.start(wrong);
  await stage.until("its peers to be well with it", async () =>
    (await troublesOf()).every((trouble) => trouble === null),
  );
});

test("a host that was removed from the registry says so in its status and its log", async () => {
  stage = await Stage.open();
  const [removed] = await stage.secondaries();
  if (removed === undefined) throw new Error("there are no secondaries");
  expect((await stage.admin().removeHost(service, removed.id)).kind).toBe("ok");
  await stage.until(
    "its warning",
    async () =>
      (await stage.statusOf(removed))?.warnings.some((text) => /removed|registry|registered/.test(text)) === true,
  );
  expect(stage.logOf(removed)).toMatch(/removed|registry|registered/);
});
