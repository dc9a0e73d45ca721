/**
 * The contract of src/vault/log/log.ts as tests that every log must pass.
 *
 * The tests do only what hosts do: records are real ones, a host puts its own at the end of its own epoch, and
 * everything else that it puts at the end is a claim. So a log that is no collection of objects, and believes the
 * header of a record, can pass. A log may keep more records at or below the boundary than it must (it may remove whole
 * segments), so the tests ask which records are gone, and not which are left.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { isEpoch, type Log, readEpochRecord, readRecord } from "../../../src/vault/log/log.ts";
import { putRecord } from "../../../src/vault/log/put-record.ts";
import { CorruptRecordError, FencedError } from "../../../src/vault/errors.ts";
import { encodeRecord, genesisHash } from "../../../src/vault/log/record-codec.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import type { RecordBody } from "../../../src/vault/record.ts";
import { StoreError } from "../../../src/vault/store/store.ts";
import { allRules } from "../../../src/core/rules.ts";
import { commit, failureOf, JumpingClock, makeHost, readerOf, readToEnd, seededRandom } from "./log-fixture.ts";

/** The fate of a put that is not answered: it has taken effect, it never does, or it does when it arrives. */
export type Fate = "done" | "lost" | "late";

export interface LogUnderTest {
  /** Empty, of the service of log-fixture.ts. */
  readonly log: Log;
  /** The same log as another host opens it. */
  readonly other: Log;
  /** The next put through `log` fails as ambiguous. */
  loseAnswer(fate: Fate): void;
  /** Lets late puts arrive. */
  arrive(): Promise<void>;
  /** Makes the record at the position unreadable. */
  damage(position: number): Promise<void>;
  dispose(): Promise<void>;
}

const renew: RecordBody = { kind: "renew" };

interface End {
  readonly position: number;
  readonly hash: string;
  readonly epoch: number;
}
const start: End = { position: 0, hash: genesisHash, epoch: 0 };

/** A claim of the next epoch right after `end`. */
function claimAfter(log: Log, end: End, host: string): Uint8Array {
  const nonce = Buffer.from(host.padEnd(16, "-")).toString("hex").slice(0, 32);
  const header = {
    position: end.position + 1,
    epoch: end.epoch + 1,
    host,
    nonce,
    wallTimeMs: 0,
    previousHash: end.hash,
  };
  return encodeRecord(log.serviceTag, header, {
    kind: "epoch",
    leaseMs: 1_000,
    controlUrl: `http://${host}:1`,
    instance: `${host}-1`,
  }).bytes;
}

async function commits(writer: LogWriter, count: number): Promise<void> {
  for (let fill = 1; fill <= count; fill += 1) await writer.append(commit(fill));
}

/** Lets others go first. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function contents(log: Log): Promise<ReadonlyMap<number, string>> {
  const found = new Map<number, string>();
  for (const position of await log.positions())
    found.set(position, Buffer.from((await log.get(position)) ?? []).toString("hex"));
  return found;
}

export function describeLogContract(name: string, make: () => Promise<LogUnderTest>): void {
  describe(`${name} keeps the contract of a log`, () => {
    let current: LogUnderTest;
    let log: Log;
    let other: Log;
    beforeEach(async () => {
      current = await make();
      ({ log, other } = current);
    });
    afterEach(() => current.dispose());

    describe("a put", () => {
      test("at the end of the log creates a record, which others find whole, and nothing behind it", async () => {
        const bytes = claimAfter(log, start, "a");
        expect(await log.put(1, bytes)).toEqual({ kind: "created" });
        expect(Buffer.from((await other.get(1)) ?? []).equals(bytes)).toBe(true);
        expect(await other.get(2)).toBeUndefined();
      });

      test("of a large record is found whole", async () => {
        const writer = await makeHost("a", log).lead();
        const content = new Uint8Array(65_536).map((_, index) => (index * 31) % 251);
        const pages = Array.from({ length: 90 }, (_, index) => ({ number: index + 1, content }));
        const { record } = await writer.append({
          kind: "commit",
          part: 1,
          parts: 1,
          databases: [{ name: "a.db", pageSize: 65_536, pageCount: 90, checksum: new Uint8Array(16), pages }],
        });
        expect((await readRecord(other, 2))?.hash).toBe(record.hash);
      });

      test("of the same bytes once more finds them there", async () => {
        const bytes = claimAfter(log, start, "a");
        await log.put(1, bytes);
        for (const host of [log, other]) {
          expect(await host.put(1, bytes)).toEqual({ kind: "exists" });
          expect(Buffer.from((await host.get(1)) ?? []).equals(bytes)).toBe(true);
        }
      });

      test("where another writer's record is finds that one, and changes nothing", async () => {
        const [first, second] = [claimAfter(log, start, "a"), claimAfter(log, start, "b")];
        await log.put(1, first);
        expect(await other.put(1, second)).toEqual({ kind: "exists" });
        for (const host of [log, other]) expect(Buffer.from((await host.get(1)) ?? []).equals(first)).toBe(true);
      });

      test("of one among many claims at the same moment wins, and its record is there", async () => {
        let end = start;
        for (let round = 0; round < 20; round += 1) {
          const claims = Array.from({ length: 8 }, (_, index) => claimAfter(log, end, `${round}-${index}`));
          const outcomes = await Promise.all(
            claims.map((bytes, index) => (index % 2 === 0 ? log : other).put(end.position + 1, bytes)),
          );
          const winners = claims.filter((_, index) => outcomes[index]?.kind === "created");
          expect(winners).toHaveLength(1);
          const record = await readRecord(other, end.position + 1);
          expect(Buffer.from((await log.get(end.position + 1)) ?? []).equals(winners[0] ?? new Uint8Array())).toBe(
            true,
          );
          end = { position: end.position + 1, hash: record?.hash ?? "", epoch: end.epoch + 1 };
        }
      });

      test("does not care what the caller does with its buffers afterwards", async () => {
        const bytes = claimAfter(log, start, "a");
        const copy = bytes.slice();
        await log.put(1, bytes);
        bytes.fill(0);
        (await log.get(1))?.fill(0);
        expect(Buffer.from((await log.get(1)) ?? []).equals(copy)).toBe(true);
      });
    });

    describe("a put whose outcome is unknown", () => {
      const decide = (bytes: Uint8Array) =>
        putRecord({
          log,
          position: 1,
          bytes,
          rules: allRules,
          clock: new JumpingClock(),
          random: seededRandom(1),
        });

      for (const fate of ["done", "lost", "late"] as const) {
        test(`and which is ${fate}: it fails as ambiguous, and is known when it was repeated`, async () => {
          const bytes = claimAfter(log, start, "a");
          current.loseAnswer(fate);
          const failure = await failureOf(log.put(1, bytes));
          expect(failure).toBeInstanceOf(StoreError);
          expect(failure).toMatchObject({ kind: "ambiguous" });
          expect(await log.put(1, bytes)).toEqual({ kind: fate === "done" ? "exists" : "created" });
          await current.arrive();
          expect(Buffer.from((await other.get(1)) ?? []).equals(bytes)).toBe(true);
        });

        test(`and which is ${fate}: the writer finds that the record is its own`, async () => {
          current.loseAnswer(fate);
          expect(await decide(claimAfter(log, start, "a"))).toMatchObject({ kind: "mine" });
        });

        test(`and which is ${fate}: an append continues behind it, and a reader finds each record once`, async () => {
          const writer = await makeHost("a", log).lead();
          current.loseAnswer(fate);
          await commits(writer, 3);
          await current.arrive();
          expect(
            (await readToEnd(readerOf(other))).map(({ header, body }) => `${header.position} ${body.kind}`),
          ).toEqual(["1 epoch", "2 commit", "3 commit", "4 commit"]);
        });
      }

      test("and which is lost while another writer takes its place: the repetition finds the other's record", async () => {
        const rival = claimAfter(log, start, "b");
        current.loseAnswer("lost");
        await failureOf(log.put(1, claimAfter(log, start, "a")));
        await other.put(1, rival);
        expect(await decide(claimAfter(log, start, "a"))).toMatchObject({
          kind: "other",
          record: { header: { host: "b" } },
        });
        expect(Buffer.from((await log.get(1)) ?? []).equals(rival)).toBe(true);
      });

      test("and which arrives after another writer took its place changes nothing", async () => {
        const rival = claimAfter(log, start, "b");
        current.loseAnswer("late");
        await failureOf(log.put(1, claimAfter(log, start, "a")));
        await other.put(1, rival);
        await current.arrive();
        for (const host of [log, other]) expect(Buffer.from((await host.get(1)) ?? []).equals(rival)).toBe(true);
      });
    });

    describe("a primary that was succeeded", () => {
      test("is fenced at its next put, however many records came since, and the successor's stay as they are", async () => {
        const zombie = await makeHost("a", log).lead();
        await commits(zombie, 2);
        const successor = await makeHost("b", other).lead();
        await commits(successor, 3);
        const before = await contents(other);
        expect(await failureOf(zombie.append(commit(9)))).toBeInstanceOf(FencedError);
        expect(await contents(log)).toEqual(before);
        await commits(successor, 1);
      });

      test("is fenced also when retention has removed all that its successor wrote after the claim", async () => {
        const zombie = await makeHost("a", log).lead();
        const successor = await makeHost("b", other).lead();
        await commits(successor, 4);
        await other.removeUpTo(5);
        expect(await failureOf(zombie.append(commit(9)))).toMatchObject({ kind: "fenced", epoch: 2, host: "b" });
      });
    });

    test("has no hole while it grows, whichever answers are lost: before every record that is found all others are", async () => {
      const random = seededRandom(7);
      const writer = await makeHost("a", log).lead();
      let isWriting = true;
      const writing = (async () => {
        for (let fill = 1; fill <= 120; fill += 1) {
          const chance = random.fraction();
          if (chance < 0.3) current.loseAnswer(chance < 0.1 ? "done" : chance < 0.2 ? "lost" : "late");
          await writer.append(commit(fill % 250));
          if (fill % 10 === 0) await current.arrive();
          await turn();
        }
      })().finally(() => (isWriting = false));
      const reader = readerOf(other);
      let looks = 0;
      while (isWriting) {
        const positions = await other.positions();
        expect(positions).toEqual(Array.from({ length: positions.length }, (_, index) => index + 1));
        const newest = positions.at(-1) ?? 1;
        for (let position = Math.max(1, newest - 3); position <= newest; position += 1)
          expect(await other.get(position)).toBeDefined();
        await reader.next();
        looks += 1;
        await turn();
      }
      await writing;
      await readToEnd(reader);
      expect(reader.position).toBe(121);
      expect(looks).toBeGreaterThan(1);
    });

    test("tells the positions after one, ascending", async () => {
      expect(await other.positions()).toEqual([]);
      await commits(await makeHost("a", log).lead(), 11);
      expect(await other.positions()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
      expect(await other.positions(9)).toEqual([10, 11, 12]);
      expect(await other.positions(12)).toEqual([]);
      expect(await other.strangeNames()).toEqual([]);
      expect(new Set([1, 2, 10, 11].map((position) => log.nameOf(position))).size).toBe(4);
    });

    test("is empty until its first record, and never again", async () => {
      expect(await log.isEmpty()).toBe(true);
      const writer = await makeHost("a", log).lead();
      expect(await other.isEmpty()).toBe(false);
      await commits(writer, 2);
      await other.removeUpTo(3);
      expect(await log.isEmpty()).toBe(false);
    });

    describe("a removal", () => {
      /** Claims at 1 and 5, commits between and up to 9. */
      async function twoEpochs(): Promise<LogWriter> {
        await commits(await makeHost("a", log).lead(), 3);
        const writer = await makeHost("b", log).lead();
        await commits(writer, 4);
        return writer;
      }

      test("takes nothing above its position, nor a claim; every removed record is at or below the boundary", async () => {
        const writer = await twoEpochs();
        const before = await contents(other);
        for (const position of [2, 4, 6, 7]) {
          await other.removeUpTo(position);
          const left = await contents(log);
          for (const kept of [1, 5]) expect((await readEpochRecord(log, kept)).header.position).toBe(kept);
          for (const [at, content] of before)
            if (at > position || at === 1 || at === 5) expect(left.get(at)).toBe(content);
          const boundary = await log.boundary();
          expect(boundary).toBeLessThanOrEqual(position);
          for (const at of before.keys()) if (!left.has(at)) expect(at).toBeLessThanOrEqual(boundary);
        }
        await commits(writer, 1);
        expect((await readRecord(other, 10))?.body.kind).toBe("commit");
      });

      test("names the records that it removed, which are gone, or would remove, which are not; the rest is kept", async () => {
        await twoEpochs();
        const before = await contents(log);
        const planned = await log.removeUpTo(7, { dryRun: true });
        expect(await contents(other)).toEqual(before);
        expect(await other.boundary()).toBe(0);
        const done = await log.removeUpTo(7);
        expect(done).toEqual(planned);
        const left = await contents(other);
        expect([...left.keys()].filter((position) => position <= 7)).toHaveLength(done.kept);
        expect(await log.removeUpTo(7)).toEqual({ names: [], kept: done.kept });
      });

      test("raises the boundary and never lowers it, for all hosts, also with several at the same moment", async () => {
        const writer = await twoEpochs();
        expect(await other.boundary()).toBe(0);
        let highest = 0;
        const second = (await log.get(2)) ?? new Uint8Array();
        for (const positions of [[3], [7, 4, 6], [2], [8, 8]]) {
          // As a claimant that has slept does (log-writer.ts): a copy may come back, and the next removal removes it.
          if (highest > 0) await other.put(2, second);
          await Promise.all(positions.map((position, index) => (index % 2 === 0 ? log : other).removeUpTo(position)));
          for (const host of [log, other]) {
            const boundary = await host.boundary();
            expect(boundary).toBeGreaterThanOrEqual(highest);
            expect(boundary).toBeLessThanOrEqual(8);
          }
          highest = await log.boundary();
        }
        await commits(writer, 1);
        expect(
          (
            await readToEnd(
              readerOf(other, { position: 8, hash: (await readRecord(other, 9))?.header.previousHash ?? "", epoch: 2 }),
            )
          ).map(({ header }) => header.position),
        ).toEqual([9, 10]);
      });

      test("is told to a reader that follows from before it, and a claim from there does not succeed", async () => {
        const writer = await makeHost("a", log).lead();
        const [sleeper, late] = [makeHost("z", other), readerOf(other)];
        await readToEnd(sleeper.reader);
        await late.next();
        await commits(writer, 5);
        await log.removeUpTo(5);
        if ((await log.get(2)) === undefined)
          expect(await failureOf(late.next())).toMatchObject({ kind: "left-behind" });
        expect((await sleeper.claim()).kind).not.toBe("claimed");
        expect((await writer.append(renew)).record.header.position).toBe(7);
        expect(
          (
            await readToEnd(
              readerOf(other, { position: 5, hash: (await readRecord(other, 6))?.header.previousHash ?? "", epoch: 1 }),
            )
          ).map(({ header }) => `${header.position} ${header.host}`),
        ).toEqual(["6 a", "7 a"]);
      });

      test("leaves unreadable records where they are", async () => {
        await twoEpochs();
        await current.damage(3);
        await log.removeUpTo(7);
        expect(await other.get(3)).toBeDefined();
        expect(await failureOf(readRecord(other, 3))).toBeInstanceOf(CorruptRecordError);
      });

      test("that was aborted before it began removes nothing", async () => {
        await twoEpochs();
        const before = await contents(log);
        expect(await failureOf(log.removeUpTo(7, { signal: AbortSignal.abort(new Error("stopped")) }))).toEqual(
          new Error("stopped"),
        );
        expect(await contents(other)).toEqual(before);
      });
    });

    describe("the newest epoch", () => {
      test("is the last claim, with any records behind it and after any removal; an empty log has none", async () => {
        expect(await other.newestEpoch()).toBeUndefined();
        await commits(await makeHost("a", log).lead(), 2);
        expect(await other.newestEpoch()).toMatchObject({ header: { epoch: 1, host: "a", position: 1 } });
        await commits(await makeHost("b", other).lead(), 3);
        expect(await log.newestEpoch()).toMatchObject({
          header: { epoch: 2, host: "b", position: 4 },
          body: { controlUrl: "http://b:1" },
        });
        await log.removeUpTo(7);
        const newest = await other.newestEpoch();
        expect(isEpoch(newest)).toBe(true);
        expect(newest).toMatchObject({ header: { epoch: 2, position: 4 } });
      });

      test("is looked for past records that cannot be read", async () => {
        await commits(await makeHost("a", log).lead(), 2);
        await current.damage(3);
        expect(await other.newestEpoch()).toMatchObject({ header: { epoch: 1 } });
      });
    });
  });
}
