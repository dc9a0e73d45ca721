/**
 * Vaults in buckets of a real distributed store, which scripts/test-s3 starts: the store's contract over two of its
 * gateways, the probe, a bucket with versions, and a cluster whose primary is killed.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { systemTcp } from "../../src/runtime/tcp/system-tcp.ts";
import { S3Client } from "../../src/s3/s3-client.ts";
import { probeBucket } from "../../src/s3/s3-probe.ts";
import { S3Store } from "../../src/s3/s3-store.ts";
import { failureOf } from "../support/vault/log-fixture.ts";
import { describeStoreContract } from "../support/vault/store-contract.ts";
import { never, openBench, runStead } from "./harness.ts";

setDefaultTimeout(120_000);

interface RealStore {
  /** Of its gateways. */
  readonly ports: readonly number[];
  readonly accessKeyId: string;
  readonly secretKey: string;
}

const given = process.env["STEAD_TEST_S3"];
const real = given === undefined ? undefined : (JSON.parse(given) as RealStore);
const [plain, versioned] = ["plain", "versioned"].map((name) => `${name}-${randomBytes(6).toString("hex")}`);

/** `gateway`: a number. */
function clientOf(bucket = "", prefix = "notes", gateway = 0): S3Client {
  if (real === undefined) throw new Error("there is no store");
  const { ports, accessKeyId, secretKey } = real;
  return new S3Client({
    ...{ url: `s3://${bucket}/${prefix}`, bucket, prefix: `${prefix}/`, region: "us-east-1", pathStyle: true },
    ...{ endpoint: { secure: false, host: "127.0.0.1", port: ports[gateway % ports.length] ?? 0 }, timeoutMs: 30_000 },
    ...{ clock: systemClock, random: systemRandom, tcp: systemTcp },
    credentials: () => ({ accessKeyId, secretKey, sessionToken: undefined }),
  });
}

const open: S3Store[] = [];
function storeOf(bucket?: string, prefix?: string, gateway?: number): S3Store {
  const store = new S3Store(clientOf(bucket, prefix, gateway));
  open.push(store);
  return store;
}

beforeAll(async () => {
  if (real === undefined) return;
  const call = { method: "PUT", name: "", answerBytesMax: 64 * 1024, ifSent: "ambiguous" } as const;
  for (const bucket of [plain, versioned]) expect((await clientOf(bucket).call(call)).status).toBe(200);
  const body = Buffer.from("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>");
  const answer = await clientOf(versioned).call({ ...call, query: [["versioning", ""]], body });
  expect(answer.status).toBe(200);
});
afterAll(async () => {
  for (const store of open) await store.close();
});

const ports = { clock: systemClock, random: systemRandom };
const testReal = test.skipIf(real === undefined);

if (real !== undefined)
  describeStoreContract("a real store over two gateways", async () => {
    const prefix = randomBytes(6).toString("hex");
    return { store: storeOf(plain, prefix), other: storeOf(plain, prefix, 1), dispose: async () => undefined };
  });

testReal("a real bucket passes the probe (needs STEAD_TEST_S3, which scripts/test-s3 sets)", async () => {
  const store = storeOf(plain);
  await probeBucket(store, ports);
  expect(await store.list("probes/")).toEqual([]);
});

testReal("a real bucket with versions is refused, by its versions and by the race", async () => {
  const store = storeOf(versioned);
  expect(await failureOf(probeBucket(store, ports))).toMatchObject({
    ...{ kind: "unsuitable", message: expect.stringContaining("has versions") },
  });
  store.versioning = async () => undefined;
  expect(await failureOf(probeBucket(store, ports))).toMatchObject({ kind: "unsuitable" });
});

testReal("a cluster over a real bucket fails over without loss, and its vault is verified and restored", async () => {
  const bench = openBench();
  try {
    const { ports: [port = 0] = [], accessKeyId = "", secretKey = "" } = real ?? {};
    const bucket = {
      url: `s3://${plain}/cluster`,
      endpoint: { secure: false, host: "127.0.0.1", port },
      credentials: { accessKeyId, secretKey },
    };
    const cluster = await bench.cluster({ bucket, vaultKeys: "encrypted" });
    await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
    const primary = await cluster.whenWhole(60_000, never);
    const headers = { "content-type": "application/json" };
    const write = (text: string): Promise<Response> =>
      fetch(`${cluster.gateways[0]?.url}/notes`, { method: "POST", headers, body: JSON.stringify({ text }) });
    const texts = Array.from({ length: 50 }, (_, index) => `note ${index} of fifty`);
    for (const text of texts) expect((await write(text)).status).toBe(201);
    primary.process?.signal("SIGKILL");
    await primary.process?.ended;
    const killedAt = performance.now();
    while ((await write("after the kill")).status !== 201);
    console.log(`acknowledged again ${(performance.now() - killedAt).toFixed(0)} ms after the primary was killed`);
    const config = cluster.hosts[1]?.configFile ?? "";
    expect((await runStead(["vault", "verify", "--config", config])).code).toBe(0);
    const to = join(bench.folder, "restored");
    expect((await runStead(["vault", "restore", "--config", config, "--to", to])).code).toBe(0);
    const bytes = readFileSync(join(to, "notes.db"), "latin1");
    for (const text of [...texts, "after the kill"]) expect(bytes).toContain(text);
  } finally {
    await bench.close();
  }
});
