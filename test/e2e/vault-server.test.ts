/**
 * A cluster whose vault is served by one more process: that one is killed, frozen and started on an older copy of its
 * folder. No host is replaced, what waited is answered, and the copy is not believed.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Cluster, VaultMember } from "../../harness/cluster.ts";
import { type Bench, never, openBench } from "./harness.ts";

// Generous: this test waits for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

const withinMs = 60_000;
let bench: Bench;
afterEach(() => bench.close());

async function endOf(server: VaultMember): Promise<void> {
  server.process?.signal("SIGKILL");
  await server.process?.ended;
}

const post = (cluster: Cluster, text: string): Promise<Response> =>
  fetch(`${cluster.gateways[0]?.url}/notes`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text }),
  });

test("a vault server that is killed, frozen or replaced by an older copy loses nothing and moves no primary", async () => {
  bench = openBench();
  const cluster = await bench.cluster({ isVaultServed: true });
  const server = cluster.vaultServer;
  if (server === undefined) throw new Error("there is no vault server");
  await cluster.startVaultServer(never);
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  const primary = await cluster.whenWhole(withinMs, never);
  /** By the ids of the notes. */
  const acknowledged = new Map<number, string>();
  const acknowledge = async (text: string, answer: Promise<Response>): Promise<void> => {
    const response = await answer;
    expect(response.status).toBe(201);
    acknowledged.set(((await response.json()) as { id: number }).id, text);
  };
  /** True once the primary says that its vault fails. */
  const isMissed = async (): Promise<true | undefined> =>
    (await cluster.statusOf(primary))?.warnings.some((text) => text.includes("vault")) === true ? true : undefined;
  await cluster.until(
    "the gateway to serve",
    withinMs,
    never,
    () => "it does not",
    async () => {
      const answer = await post(cluster, "first").catch(() => undefined);
      if (answer?.status !== 201) return undefined;
      await acknowledge("first", Promise.resolve(answer));
      return true;
    },
  );
  const [vault, copy] = [join(bench.folder, "vault"), join(bench.folder, "copy")];

  await endOf(server);
  const waiting = post(cluster, "while it is down");
  await cluster.until("the vault to be missed", withinMs, never, () => "it is not", isMissed);
  cpSync(vault, copy, { recursive: true });
  await cluster.startVaultServer(never);
  await acknowledge("while it is down", waiting);

  server.process?.signal("SIGSTOP");
  const frozen = post(cluster, "while it is frozen");
  await cluster.until("the vault to be missed", withinMs, never, () => "it is not", isMissed);
  server.process?.signal("SIGCONT");
  await acknowledge("while it is frozen", frozen);

  await endOf(server);
  renameSync(vault, `${vault}.right`);
  renameSync(copy, vault);
  await cluster.startVaultServer(never);
  const disbelieved = post(cluster, "while an older copy is served");
  await cluster.until(
    "the copy to be refused",
    withinMs,
    never,
    () => "it is not",
    async () => (JSON.stringify(await cluster.statusOf(primary)).includes("is not believed") ? true : undefined),
  );
  await endOf(server);
  renameSync(vault, copy);
  renameSync(`${vault}.right`, vault);
  await cluster.startVaultServer(never);
  await acknowledge("while an older copy is served", disbelieved);

  const now = await cluster.primary();
  expect([now?.host.id, now?.status.epoch]).toEqual([primary.id, 1]);
  for (const [id, text] of acknowledged)
    expect(await (await fetch(`${cluster.gateways[0]?.url}/notes/${id}`)).json()).toMatchObject({ text });
});
