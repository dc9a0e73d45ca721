/**
 * A cluster of real processes whose vault is in a bucket of a server in this process: the primary is killed, the server
 * conflicts, loses answers and asks for patience, and every acknowledged write is there, also in a restore.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { S3Server, testBucket, testCredentials } from "../support/s3/s3-server.ts";
import { type Bench, never, openBench, runStead } from "./harness.ts";

// Generous: this test waits for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

let bench: Bench;
let server: S3Server;
afterEach(async () => {
  await bench.close();
  server.close();
});

test("hosts whose vault is in a bucket fail over without loss, and the bucket is verified and restored", async () => {
  bench = openBench();
  server = await S3Server.start();
  const bucket = {
    url: `s3://${testBucket}/notes`,
    endpoint: { secure: false, host: "127.0.0.1", port: server.port },
    credentials: testCredentials,
  };
  const cluster = await bench.cluster({ bucket, vaultKeys: "encrypted" });
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  const first = await cluster.whenWhole(60_000, never);
  const url = `${cluster.gateways[0]?.url}/notes`;
  const acknowledged = new Map<number, string>();
  /** Returns the status: a request that was on its way to a primary that died may have happened (502). */
  const write = async (text: string): Promise<number> => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ text }) });
    if (answer.status === 201) acknowledged.set(((await answer.json()) as { id: number }).id, text);
    return answer.status;
  };
  for (const fault of ["lost-answer", "conflict", "resent", "slow-down", "lost-request", "cut-answer"] as const) {
    server.failPuts(fault);
    expect(await write(`during ${fault}`)).toBe(201);
  }
  first.process?.signal("SIGKILL");
  await first.process?.ended;
  while ((await write("after the primary was killed")) !== 201);
  expect((await cluster.primary())?.host.id).not.toBe(first.id);
  for (const [id, text] of acknowledged) expect(await (await fetch(`${url}/${id}`)).json()).toMatchObject({ text });

  const config = cluster.hosts[1]?.configFile ?? "";
  const verified = await runStead(["vault", "verify", "--config", config]);
  expect([verified.code, verified.stderr]).toEqual([0, ""]);
  expect((await runStead(["vault", "ls", "--config", config])).stdout).toContain(bucket.url);
  const to = join(bench.folder, "restored");
  const restored = await runStead(["vault", "restore", "--config", config, "--to", to]);
  expect(restored.code).toBe(0);
  const bytes = readFileSync(join(to, "notes.db"), "latin1");
  for (const text of acknowledged.values()) expect(bytes).toContain(text);
});
