import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { StoreLog } from "../../src/vault/log/store-log.ts";
import { StoreError } from "../../src/vault/store/store.ts";
import { type BucketOfTest, makeBucket, storeAt } from "../support/s3/s3-vault.ts";
import { testCredentials } from "../support/s3/s3-server.ts";
import { describeLogContract, type Fate } from "../support/vault/log-contract.ts";
import { commit, failureOf, makeHost, service } from "../support/vault/log-fixture.ts";
import { describeStoreContract } from "../support/vault/store-contract.ts";

describeStoreContract("a store in a bucket", async () => {
  const bucket = await makeBucket();
  return { store: bucket.open(), other: bucket.open(), dispose: () => bucket.dispose() };
});

describeLogContract("the log in a bucket", async () => {
  const bucket = await makeBucket();
  const faults = { done: "lost-answer", lost: "lost-request", late: "late" } as const;
  return {
    log: new StoreLog(bucket.open(), service),
    other: new StoreLog(bucket.open(), service),
    loseAnswer: (fate: Fate) => bucket.server.failPuts(faults[fate]),
    arrive: async () => bucket.server.deliverLate(),
    damage: async (position) => {
      const key = [...bucket.server.objects.keys()].find((name) => name.endsWith(String(position).padStart(16, "0")));
      const bytes = bucket.server.objects.get(key ?? "");
      if (bytes !== undefined) bytes[bytes.length - 1]! ^= 1;
    },
    dispose: () => bucket.dispose(),
  };
});

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
let bucket: BucketOfTest;
beforeEach(async () => {
  bucket = await makeBucket();
});
afterEach(() => bucket.dispose());

const putsOf = (key: string): number =>
  bucket.server.requests.filter((request) => request === `PUT notes/${key}`).length;

describe("a put", () => {
  for (const fault of ["lost-answer", "lost-request", "cut-answer", "conflict", "slow-down", "internal-error"] as const)
    test(`that met "${fault}" is ambiguous, is not sent again by itself, and its repetition decides`, async () => {
      const store = bucket.open();
      bucket.server.failPuts(fault);
      expect(await failureOf(store.putIfAbsent("log/a", text("mine")))).toMatchObject({ kind: "ambiguous" });
      expect(putsOf("log/a")).toBe(1);
      const happened = fault === "lost-answer" || fault === "cut-answer";
      expect(await store.putIfAbsent("log/a", text("mine"))).toEqual({ kind: happened ? "exists" : "created" });
      expect(Buffer.from((await store.get("log/a")) ?? []).toString()).toBe("mine");
    });

  test("that was not answered in time is ambiguous, also if it happens later", async () => {
    const store = bucket.open(100);
    bucket.server.failPuts("late");
    expect(await failureOf(store.putIfAbsent("log/a", text("mine")))).toMatchObject({ kind: "ambiguous" });
    expect(await bucket.open().putIfAbsent("log/a", text("other"))).toEqual({ kind: "created" });
    bucket.server.deliverLate();
    expect(Buffer.from((await store.get("log/a")) ?? []).toString()).toBe("other");
  });

  test("of which nothing was sent is unavailable: nothing can have happened", async () => {
    const store = storeAt(1);
    expect(await failureOf(store.putIfAbsent("log/a", text("mine")))).toMatchObject({ kind: "unavailable" });
    await store.close();
  });

  test("that is answered by something else than S3 is ambiguous", async () => {
    bucket.server.failPuts("no-etag");
    expect(await failureOf(bucket.open().putIfAbsent("log/a", text("mine")))).toMatchObject({ kind: "ambiguous" });
  });

  test("of a record that a proxy sent twice is found to be this writer's own", async () => {
    const host = makeHost("a", new StoreLog(bucket.open(), service));
    const writer = await host.lead();
    bucket.server.failPuts("resent");
    await writer.append(commit(1));
    expect(writer.position).toBe(2);
    expect(await bucket.open().list("log/")).toHaveLength(2);
  });

  test("with a record that met conflicts is repeated, and never taken for another's", async () => {
    const writer = await makeHost("a", new StoreLog(bucket.open(), service)).lead();
    bucket.server.failPuts("conflict", "conflict", "slow-down");
    await writer.append(commit(1));
    expect(putsOf("log/0000000000000002")).toBe(4);
  });

  test("that is created over a record that was just read ends everything: the store ignores the condition", async () => {
    const store = bucket.open();
    await bucket.open().putIfAbsent("log/a", text("first"));
    await store.get("log/a");
    bucket.server.behaviour.versioning = "Enabled";
    expect(await failureOf(store.putIfAbsent("log/a", text("first")))).toMatchObject({
      kind: "unsuitable",
      message: expect.stringContaining("does not give exclusive creation"),
    });
    bucket.server.behaviour.versioning = undefined as never;
    expect(await failureOf(store.putIfAbsent("log/b", text("next")))).toMatchObject({ kind: "unsuitable" });
  });

  test("in a bucket that has versions since the last put counts for nothing, and no later one does", async () => {
    const [primary, claimant] = [bucket.open(), bucket.open()];
    for (const store of [primary, claimant]) await store.putIfAbsent("log/a", text("first"));
    await claimant.putIfAbsent("probes/b", text("second"));
    bucket.server.behaviour.versioning = "Enabled";
    for (const store of [primary, claimant])
      for (const key of ["log/b", "log/c"]) {
        const error = await failureOf(store.putIfAbsent(key, text("mine")));
        expect(error).toMatchObject({ kind: "unsuitable" });
        expect(String(error)).toContain("has versions now");
      }
  });

  test("is created by a server that names a version of each object from the first put on", async () => {
    bucket.server.behaviour.alwaysNamesVersions = true;
    const store = bucket.open();
    for (const key of ["log/a", "log/b"])
      expect(await store.putIfAbsent(key, text("mine"))).toEqual({ kind: "created" });
  });

  test("that is created where another process has just removed the object is created", async () => {
    const store = bucket.open();
    await store.putIfAbsent("log/a", text("first"));
    await bucket.open().delete("log/a");
    expect(await store.putIfAbsent("log/a", text("again"))).toEqual({ kind: "created" });
  });

  test("is one request with the condition among what is signed, without chunks or other checksums", async () => {
    bucket.server.behaviour.stripsCondition = true;
    expect(await failureOf(bucket.open().putIfAbsent("log/a", text("mine")))).toMatchObject({ kind: "denied" });
    expect(bucket.server.objects.size).toBe(0);
  });
});

describe("a refusal", () => {
  test("of the clock names both clocks", async () => {
    bucket.server.behaviour.aheadMs = 3_600_000;
    expect(await failureOf(bucket.open().get("log/a"))).toMatchObject({
      kind: "denied",
      advice: expect.stringMatching(/Correct the clock .*: here it is \d{4}-.*Z, there .*GMT/),
    });
  });

  test("of the region names the right one, and is not followed", async () => {
    bucket.server.behaviour.hasAnotherRegion = "eu-central-1";
    expect(await failureOf(bucket.open().get("log/a"))).toMatchObject({
      kind: "denied",
      advice: expect.stringContaining('host.vault_s3.region to "eu-central-1"'),
    });
    expect(bucket.server.requests).toHaveLength(1);
  });

  test("never repeats a secret, whatever the server says", async () => {
    const credentials = { ...testCredentials, sessionToken: "token-of-the-session" };
    bucket.server.behaviour.repeatsRequest = true;
    const store = storeAt(bucket.server.port, { credentials: { ...credentials, accessKeyId: "AKIDOTHER" } });
    const failure = (await failureOf(store.putIfAbsent("log/a", text("mine")))) as Error;
    await store.close();
    const said = JSON.stringify([failure, failure.message, failure.stack, failure.cause]);
    expect(failure.message).toContain("[secret]");
    expect(said).not.toContain(testCredentials.secretKey);
    expect(said).not.toContain("token-of-the-session");
  });

  test("with 404 is the end of the log only if S3 says so", async () => {
    const store = bucket.open();
    expect(await store.get("log/a")).toBeUndefined();
    bucket.server.behaviour.plainNotFound = true;
    expect(await failureOf(store.get("log/a"))).toMatchObject({ kind: "unavailable" });
    bucket.server.behaviour.hasNoBucket = true;
    expect(await failureOf(store.get("log/a"))).toMatchObject({ kind: "denied" });
  });
});

describe("a listing", () => {
  test("of many pages is whole, and in order from a key on", async () => {
    bucket.server.behaviour.keysPerPage = 3;
    const store = bucket.open();
    const keys = Array.from({ length: 10 }, (_, index) => `log/${index}`);
    for (const key of keys) await store.putIfAbsent(key, text(key));
    expect(await store.list("log/")).toEqual(keys);
    expect(await store.list("log/", { after: "log/1", limit: 5 })).toEqual(keys.slice(2, 7));
  });

  test("that is not in order is refused: a page would hide what comes before it", async () => {
    bucket.server.behaviour.unordered = true;
    const store = bucket.open();
    for (const key of ["log/a", "log/b"]) await store.putIfAbsent(key, text(key));
    expect(await failureOf(store.list("log/"))).toMatchObject({ kind: "unavailable" });
  });
});

test("an object that is longer than its reader accepts is not read", async () => {
  const store = bucket.open();
  await store.putIfAbsent("log/a", new Uint8Array(2_000));
  expect(await failureOf(store.get("log/a", 1_999))).toMatchObject({ kind: "strange-object" });
  bucket.server.behaviour.sendsChunks = true;
  expect((await store.get("log/a", 2_000))?.length).toBe(2_000);
  expect(await failureOf(store.get("log/a", 1_999))).toMatchObject({ kind: "strange-object" });
});

test("requests use the connections again that are there", async () => {
  const store = bucket.open();
  for (let index = 0; index < 5; index += 1) await store.putIfAbsent(`log/${index}`, text("x"));
  expect(bucket.server.connections).toBe(1);
});

test("calls without credentials make no connections, and continue once there are some", async () => {
  let isThere = false;
  const store = storeAt(bucket.server.port, {
    credentials: () => {
      if (isThere) return testCredentials;
      throw new StoreError("denied", "no credentials", "wait");
    },
  });
  for (let call = 0; call < 3; call += 1)
    expect(await failureOf(store.putIfAbsent("log/a", text("mine")))).toMatchObject({ kind: "denied" });
  isThere = true;
  expect(await store.putIfAbsent("log/a", text("mine"))).toEqual({ kind: "created" });
  expect(bucket.server.connections).toBe(1);
  await store.close();
});
