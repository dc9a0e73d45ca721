/**
 * Attack: a forged `epoch` record names a control address. The claimant sends its credentials there, and believes the
 * answer that the former primary is gone, or has made a checkpoint.
 *
 * Rule: what is sent there is of no use elsewhere, an answer counts only if it is authenticated as that very host, and
 * an address that is none is not called (src/host/primary/predecessor.ts, src/host/control/ask-checkpoint.ts).
 */
import { afterEach, expect, test } from "bun:test";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ChannelClient } from "../../src/control/channel/client.ts";
import { Keyring } from "../../src/control/channel/keyring.ts";
import { hostParty, type Party } from "../../src/control/channel/transcript.ts";
import { untold } from "../../src/control/host-status.ts";
import { askForCheckpoint } from "../../src/host/control/ask-checkpoint.ts";
import { predecessorProbe } from "../../src/host/primary/predecessor.ts";
import { systemClock as clock } from "../../src/runtime/clock.ts";
import { sealedHandler } from "../support/control/sealed.ts";

const secret = "the-secret-that-no-listener-may-learn";
const { signal } = new AbortController();
const channel = new ChannelClient(new Keyring([secret]), hostParty("notes", "b"), clock);
const probe = predecessorProbe({ channel, clock, service: "notes", ownControlUrl: "http://127.0.0.1:9" });
const ask = (controlUrl: string) => probe.ask({ host: "a", instance: "old", controlUrl }, signal);
const checkpoint = (controlUrl: string) =>
  askForCheckpoint(channel, "notes", clock)({ host: "a", instance: "old", controlUrl }, signal);

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Another run of host a, which follows: the earlier one is gone. */
const gone = JSON.stringify({
  ...{ version: 1, service: "notes", host: "a", instance: "new", role: "secondary", reason: null, epoch: 1 },
  ...{ epochHost: "a", position: 3, lastRecordAgeMs: 1, vaultSilentMs: 1, clockMs: 1, handover: null, vacated: false },
  ...{ dataUrl: "http://127.0.0.1:1", controlUrl: "http://127.0.0.1:2", priority: 0, nofailover: false, leaseMs: 1000 },
  ...{ checkpoint: null, setAside: [], ...untold, warnings: [] },
});
const done = JSON.stringify({ position: 3, chunksWritten: 0, chunksReused: 0, ms: 1 });

test("a listener named by a record learns no secret, and its word counts for nothing", async () => {
  const received: string[] = [];
  const url = await listen((request, response) => {
    received.push(JSON.stringify(request.headers));
    response.end(request.url === "/v1/checkpoint" ? done : gone);
  });
  expect(await ask(url)).toEqual({ kind: "unknown" });
  expect(await checkpoint(url)).toContain("does not prove");
  expect(received.length).toBe(2);
  for (const each of received) expect(each).not.toContain(secret);
});

test("only the host that is meant is believed, not another member of the cluster", async () => {
  const member = (self: Party, of = secret) =>
    listen(sealedHandler(of, self, (request, response) => response.end(request.url === "/v1/status" ? gone : done)));
  expect(await ask(await member(hostParty("notes", "a")))).toEqual({ kind: "gone" });
  expect(await checkpoint(await member(hostParty("notes", "a")))).toBeUndefined();
  for (const other of [hostParty("notes", "c"), hostParty("wiki", "a"), { role: "gateway", id: "a" } as const]) {
    expect(await ask(await member(other))).toEqual({ kind: "unknown" });
    expect(await checkpoint(await member(other))).toBeString();
  }
  expect(await ask(await member(hostParty("notes", "a"), "another secret of a stranger"))).toEqual({ kind: "unknown" });
});

test("an address that is none is not called, and breaks nothing", async () => {
  for (const url of [
    "file:///etc/passwd",
    "https://127.0.0.1:1",
    "http://",
    "http://u:p@127.0.0.1:1",
    "x",
    "",
    "http://127.0.0.1:1/path",
  ]) {
    expect(await ask(url)).toEqual({ kind: "unknown" });
    expect(await checkpoint(url)).toContain("cannot be called");
  }
});
