import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { probeBucket } from "../../src/s3/s3-probe.ts";
import type { Misbehaviour } from "../support/s3/s3-server.ts";
import { type BucketOfTest, makeBucket } from "../support/s3/s3-vault.ts";
import { failureOf } from "../support/vault/log-fixture.ts";

let bucket: BucketOfTest;
beforeEach(async () => {
  bucket = await makeBucket();
});
afterEach(() => bucket.dispose());

const ports = { clock: systemClock, random: systemRandom };
const probe = (): Promise<void> => probeBucket(bucket.open(), ports);

test("an honest bucket passes, and nothing is left in it", async () => {
  await probe();
  expect(bucket.server.objects.size).toBe(0);
});

test("a bucket whose server knows no versions passes by the race", async () => {
  bucket.server.behaviour.knowsNoVersions = true;
  await probe();
});

test("what a killed probe left a day ago is removed, and what runs now is not", async () => {
  const now = Date.now();
  const [old, recent] = [now - 25 * 3_600_000, now - 60_000].map((at) => `notes/probes/_open/${at}-ab/one`);
  for (const key of [old, recent]) bucket.server.objects.set(key ?? "", Buffer.from("x"));
  await probe();
  expect([...bucket.server.objects.keys()]).toEqual([recent ?? ""]);
});

const refused: readonly (readonly [name: string, behaviour: Misbehaviour, found: string])[] = [
  ["ignores the condition", { ignoresCondition: true }, "created over the object that was there"],
  ["looks first and writes later", { looksFirst: 8 }, "8 of 8 concurrent puts of one key were accepted"],
  ["refuses the condition", { knowsNoCondition: true }, "501 NotImplemented A header you provided implies"],
  ["has versions", { versioning: "Enabled" }, 'has versions ("Enabled")'],
  ["had versions", { versioning: "Suspended" }, 'has versions ("Suspended")'],
  [
    "has versions and hides them",
    { versioning: "Enabled", knowsNoVersions: true },
    "created over the object that was there",
  ],
  ["lists what was put later", { listsLate: true }, "a listing has 3 keys right after 4 were there"],
];

describe("a bucket is unsuitable whose server", () => {
  for (const [name, behaviour, found] of refused)
    test(name, async () => {
      Object.assign(bucket.server.behaviour, behaviour);
      expect(await failureOf(probe())).toMatchObject({ kind: "unsuitable", message: expect.stringContaining(found) });
      expect(bucket.server.objects.size).toBe(0);
    });
});

test("credentials that do not fit, a wrong region and a clock that is off are refused at once", async () => {
  for (const behaviour of [{ stripsCondition: true }, { hasAnotherRegion: "eu" }, { aheadMs: 3_600_000 }]) {
    Object.assign(bucket.server.behaviour, behaviour);
    expect(await failureOf(probe())).toMatchObject({ kind: "denied" });
  }
});
