/**
 * B6, the parts: two secrets are valid at once on every way between processes, in any order in which they learn of it;
 * who has another one is told, on both sides; the vault's keys open with both meanwhile, and with the new one alone
 * afterwards. B6-rotation.test.ts does it with a cluster under load.
 *
 * Rules: src/control/channel/keyring.ts, src/config/cluster-secrets.ts, src/host/machine/vault-secrets.ts.
 */
import { afterEach, expect, test } from "bun:test";
import { ChannelClient } from "../../src/control/channel/client.ts";
import { Keyring } from "../../src/control/channel/keyring.ts";
import { ChannelServer } from "../../src/control/channel/server.ts";
import { StrangerLog } from "../../src/control/channel/stranger-log.ts";
import { hostParty, type Party } from "../../src/control/channel/transcript.ts";
import { callJson, type JsonAnswer } from "../../src/control/json-call.ts";
import { createApi } from "../../src/control/server/api.ts";
import { authenticate, clusterSecret } from "../../src/control/server/authentication.ts";
import { sealedChannel } from "../../src/control/server/channel.ts";
import { type ApiListener, listenApi } from "../../src/control/server/listener.ts";
import { type AdminTarget, createAdminApp } from "../../src/gateway/admin/admin.ts";
import { secretDoubt } from "../../src/gateway/admin/secret-doubt.ts";
import { VaultSecrets } from "../../src/host/machine/vault-secrets.ts";
import type { LogFields } from "../../src/runtime/log.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { RemoteStore } from "../../src/remote/remote-store.ts";
import { serveVault } from "../../src/remote/serve-vault.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { readIdentity } from "../../src/vault/store/identity.ts";
import { createKeyring, readKeyring } from "../../src/vault/store/keyring.ts";
import { silentLog } from "../support/control/cluster-certificates.ts";
import { ManualClock } from "../support/http/manual-clock.ts";
import { clientOf, makeServedFolder } from "../support/remote/served-vault.ts";
import { makeTemporaryVault } from "../support/vault/temporary-vault.ts";

const [former, present, wrong] = ["the-former-secret-00", "the-present-secret-0", "the-secret-of-others"];
const a = hostParty("notes", "a");
const g1: Party = { role: "gateway", id: "g1" };

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A server and a client, with keyrings that change, and what the server's operator is told. */
async function pair(serverHas: readonly string[], clientHas: readonly string[]) {
  const [theirs, ours] = [new Keyring(serverHas), new Keyring(clientHas)];
  const told: string[] = [];
  const warn = (what: string, fields: LogFields = {}): void => void told.push(`${what} ${JSON.stringify(fields)}`);
  const strangers = new StrangerLog({
    ...{ keyring: theirs, place: () => "/etc/stead/stead.secret", clock: systemClock },
    log: { ...silentLog, warn },
  });
  const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log: silentLog });
  app.use(sealedChannel(new ChannelServer(theirs, a, systemClock, strangers)));
  app.use(authenticate(clusterSecret(() => [])));
  app.all("*", (c) => c.json({ ok: true }));
  const listener: ApiListener = await listenApi(app, { host: "127.0.0.1", port: 0 });
  closing.push(() => listener.close());
  const options = {
    ...{ baseUrl: `http://127.0.0.1:${listener.port}`, to: a, clock: systemClock },
    caller: new ChannelClient(ours, g1, systemClock),
  };
  const call = (): Promise<JsonAnswer> =>
    callJson(options, { method: "POST", path: "/v1/promote", body: {}, timeoutMs: 5_000 });
  return { theirs, ours, told, call };
}

/** All ways from one secret to another, by who learns of a step first. */
const steps = [[former], [present, former], [present]] as const;

test("no call fails while two processes go from one secret to another, in any order", async () => {
  for (const order of ["server first", "client first"] as const) {
    const { theirs, ours, call } = await pair(steps[0], steps[0]);
    expect((await call()).kind).toBe("answer");
    for (const step of steps.slice(1)) {
      for (const keyring of order === "server first" ? [theirs, ours] : [ours, theirs]) {
        keyring.replace(step);
        for (let calls = 0; calls < 2; calls++)
          expect([order, step, (await call()).kind]).toEqual([order, step, "answer"]);
      }
    }
  }
});

test("a process that was never met before is called with either secret", async () => {
  for (const [server, client] of [
    [[former], [present, former]],
    [[present], [present, former]],
    [[present, former], [former]],
    [[present, former], [present]],
  ] as const)
    expect((await (await pair(server, client)).call()).kind).toBe("answer");
});

test("a server whose secret is another one now is not believed; one that was only asked with a wrong one is alive", async () => {
  const { theirs, call } = await pair([former], [former]);
  await call();
  theirs.replace([wrong]);
  expect(await call()).toMatchObject({
    kind: "invalid",
    message: expect.stringContaining("its secret is another one"),
  });
  const other = await pair([former], [former]);
  await other.call();
  other.ours.replace([wrong]);
  expect((await other.call()).kind).toBe("unauthorized");
});

test("who refuses a secret names who says to be the caller, and the file, once a minute", async () => {
  const { told, call } = await pair([present], [former]);
  for (let calls = 0; calls < 3; calls++) expect((await call()).kind).toBe("unauthorized");
  expect(told).toEqual([expect.stringMatching(/gateway:g1.*\/etc\/stead\/stead\.secret.*rotate --status/)]);
  expect(told.join()).not.toContain(present);
});

test("the log of strangers is bounded, whatever they say who they are", () => {
  const clock = new ManualClock();
  let told = 0;
  const log = { ...silentLog, warn: () => void (told += 1) };
  const strangers = new StrangerLog({ keyring: new Keyring([present]), place: () => "", clock, log });
  for (let nth = 0; nth < 150; nth++) strangers.refused({ key: "k", from: `gateway:${nth}` });
  strangers.refused({ key: "k", from: "gateway:149" });
  expect(told).toBe(150);
  clock.advance(60_000);
  strangers.refused({ key: "k", from: "gateway:149" });
  expect(told).toBe(151);
});

test("a gateway whose secret all refuse is unhealthy once another gateway is among them", () => {
  const view = (by: string, of?: "taken" | "refused") => ({ by, view: of });
  const [g, h, k] = ["gateway g2", "host a of notes", "host b of notes"];
  expect(secretDoubt([view(g, "taken")], [view(h)])).toEqual({ kind: "none" });
  expect(secretDoubt([view(g, "refused")], [view(h, "refused"), view(k)])).toMatchObject({
    kind: "all",
    isAlone: true,
  });
  // Every gateway may see the same: it continues to serve.
  expect(secretDoubt([view(g)], [view(h, "refused")])).toMatchObject({ kind: "all", isAlone: false });
  expect(secretDoubt([view(g, "taken")], [view(h, "refused")])).toMatchObject({
    kind: "some",
    text: expect.stringContaining(h),
  });
});

test("the health of a gateway that is a stranger to the others is not ok, and says nothing of files", async () => {
  const healthWith = async (secretDoubt: unknown): Promise<[number, string]> => {
    const target = { ...{ channel: undefined, log: silentLog, clock: systemClock }, secretDoubt, services: () => [] };
    const audit = { watch: () => passOn, begin: () => passOn };
    const app = createAdminApp({ ...target, audit, authenticator: () => undefined } as unknown as AdminTarget);
    const answer = await app.request("/health");
    return [answer.status, await answer.text()];
  };
  const passOn = (_c: unknown, next: () => Promise<void>): Promise<void> => next();
  expect((await healthWith({ kind: "none" }))[0]).toBe(200);
  expect((await healthWith({ kind: "all", isAlone: false, text: "refused" }))[0]).toBe(200);
  const [status, text] = await healthWith({ kind: "all", isAlone: true, text: "refused" });
  expect([status, text.includes("/")]).toEqual([503, false]);
});

test("a vault server and its hosts take both secrets, in any order", async () => {
  const served = await makeServedFolder();
  closing.push(() => served.dispose());
  await served.server.close();
  let theirs: readonly string[] = steps[0];
  served.server = await serveVault({
    ...{ folder: served.folder, host: "127.0.0.1", port: 0, secrets: () => theirs },
    ...{ clock: systemClock, random: systemRandom, log: silentLog },
  });
  const identify = async (...secrets: string[]): Promise<string> => {
    const store = new RemoteStore(clientOf(served.server.port, { secrets: () => secrets }));
    try {
      return (await readIdentity(store))?.service ?? "none";
    } catch {
      return "refused";
    } finally {
      await store.close();
    }
  };
  for (const [has, asks, answer] of [
    [[former], [present, former], "notes"],
    [[present, former], [former], "notes"],
    [[present, former], [present], "notes"],
    [[present], [present, former], "notes"],
    [[present], [former], "refused"],
    [[present, former], [wrong], "refused"],
  ] as const) {
    theirs = has;
    expect([has, asks, await identify(...asks)]).toEqual([has, asks, answer]);
  }
});

test("the vault's keys open with both secrets while hosts know both, and with the new one alone afterwards", async () => {
  const vault = await makeTemporaryVault("notes");
  closing.push(() => vault.dispose());
  const identity = (await readIdentity(vault.store)) ?? expect.unreachable();
  await createKeyring(vault.store, identity, [former], { encrypts: true, present: {} });
  const opensWith = (secret: string) =>
    readKeyring(vault.store, identity, [secret]).then(
      () => true,
      () => false,
    );
  const hosts = ["a", "b"].map(() => {
    let secrets: readonly string[] = [former];
    const parts = { store: vault.store, identity, clock: systemClock, log: silentLog, secrets: () => secrets };
    const opening = new VaultSecrets(parts);
    const learn = async (valid: readonly string[]): Promise<void> => {
      secrets = valid;
      opening.changed();
      await opening.settled();
    };
    return { opening, learn };
  });
  const [first, last] = hosts;
  if (first === undefined || last === undefined) return expect.unreachable();
  await first.learn([former]);
  expect([await opensWith(former), await opensWith(present), first.opening.opens]).toEqual([
    true,
    false,
    { opens: true, secrets: 1 },
  ]);
  await Promise.all(hosts.map((host) => host.learn([present, former])));
  expect([await opensWith(former), await opensWith(present)]).toEqual([true, true]);
  expect(first.opening.opens).toEqual({ opens: true, secrets: 2 });
  // One that starts with the old file, and knows nothing of the new one, takes it from no other host.
  const late = new VaultSecrets({
    ...{ store: vault.store, identity, clock: systemClock, log: silentLog, secrets: () => [former] },
  });
  late.changed();
  await late.settled();
  expect(await opensWith(present)).toBe(true);
  await first.learn([present]);
  expect([await opensWith(former), await opensWith(present)]).toEqual([false, true]);
  await last.learn([present]);
  expect([await opensWith(present), last.opening.opens]).toEqual([true, { opens: true, secrets: 1 }]);
  late.changed();
  await late.settled();
  expect(late.warnings).toEqual([expect.stringContaining("stead vault rekey")]);
});

test("a vault without keys stays one", async () => {
  const vault = await makeTemporaryVault("notes");
  closing.push(() => vault.dispose());
  const identity = (await readIdentity(vault.store)) ?? expect.unreachable();
  const parts = { store: vault.store, identity, clock: systemClock, log: silentLog };
  const opening = new VaultSecrets({ ...parts, secrets: () => [present, former] });
  opening.changed();
  await opening.settled();
  expect([await vault.store.list("keys/"), opening.opens, opening.warnings]).toEqual([[], undefined, []]);
});
