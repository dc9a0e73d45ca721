/**
 * A write-ahead log and its index that are not what SQLite wrote: bytes that were changed, cut off or made up. Nothing
 * of that may be taken for committed frames, nothing may crash, and nothing may be read without an end.
 */
import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { endianness } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CaptureError } from "../../../src/capture/capture-error.ts";
import { EventLoopBudget } from "../../../src/runtime/event-loop-budget.ts";
import { type WalIndexLook, WalIndexReader, walIndexBytes } from "../../../src/capture/wal-index.ts";
import { readFrames } from "../../../src/capture/wal-reader.ts";
import { SeededRandom } from "../../../harness/seeded-random.ts";
import { temporaryFolder } from "../../support/capture/pair.ts";

const rounds = 1_500;
const isLittle = endianness() === "LE";

/** What real SQLite leaves: the log and its index while the database is open, copied. */
function written(folder: string): { readonly wal: Uint8Array; readonly index: Uint8Array } {
  const path = join(folder, "app.db");
  const database = new DatabaseSync(path);
  database.exec("PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t (x)");
  for (let i = 0; i < 6; i++) database.exec(`INSERT INTO t VALUES (hex(randomblob(${100 + 60 * i})))`);
  const copy = {
    wal: new Uint8Array(readFileSync(`${path}-wal`)),
    index: new Uint8Array(readFileSync(`${path}-shm`).subarray(0, walIndexBytes)),
  };
  database.close();
  return copy;
}

function looked(path: string, bytes: Uint8Array): WalIndexLook {
  writeFileSync(path, bytes);
  const fd = openSync(path, "r");
  try {
    return new WalIndexReader({ shmFd: fd }).look();
  } finally {
    closeSync(fd);
  }
}

type Index = Extract<WalIndexLook, { kind: "index" }>["index"];

/** The frames as capture takes them, as text; or that it refused. */
async function framesOf(path: string, wal: Uint8Array, index: Index): Promise<string> {
  writeFileSync(path, wal);
  const fd = openSync(path, "r");
  const found: string[] = [];
  const { salt1, salt2 } = index;
  try {
    const from = { salt1, salt2, mxFrame: 0, checksum1: 0, checksum2: 0 };
    await readFrames(
      { name: "app.db", walFd: fd, from, to: index },
      new EventLoopBudget(),
      (page, frame, content) => void found.push(`${frame} ${page} ${Buffer.from(content).toString("base64")}`),
    );
    return found.join("\n");
  } catch (error) {
    if (error instanceof CaptureError) return "refused";
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Changes, cuts or repeats something. */
function spoilt(dice: SeededRandom, bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes);
  const at = dice.int(0, copy.length - 1);
  switch (dice.int(0, 4)) {
    case 0:
      copy[at] = (copy[at] ?? 0) ^ (1 << dice.int(0, 7));
      return copy;
    case 1:
      return copy.slice(0, at);
    case 2:
      return copy.fill(dice.int(0, 255), at, at + dice.int(1, 40));
    case 3:
      return copy.copyWithin(at, dice.int(0, copy.length - 1), copy.length);
    default:
      for (let i = at; i < Math.min(copy.length, at + 64); i++) copy[i] = dice.int(0, 255);
      return copy;
  }
}

/** An index whose own checksum is right, whatever it says: only the log itself can show that it is wrong. */
function sealed(index: Uint8Array, change: (words: Uint32Array) => void): Uint8Array {
  const copy = new Uint8Array(index);
  const words = new Uint32Array(copy.buffer);
  change(words);
  let [s1, s2] = [0, 0];
  for (let i = 0; i < 10; i += 2) {
    s1 = (s1 + (words[i] ?? 0) + s2) >>> 0;
    s2 = (s2 + (words[i + 1] ?? 0) + s1) >>> 0;
  }
  [words[10], words[11]] = [s1, s2];
  words.copyWithin(12, 0, 12);
  return copy;
}

test("a log that was spoilt is read as it was committed, or refused", async () => {
  using folder = temporaryFolder();
  const { wal, index } = written(folder.path);
  const look = looked(join(folder.path, "index"), index);
  if (look.kind !== "index") throw new Error(`the index of SQLite is ${look.kind}`);
  const path = join(folder.path, "log");
  const whole = await framesOf(path, wal, look.index);
  expect(whole.split("\n")).toHaveLength(look.index.mxFrame);
  const dice = new SeededRandom(1);
  let refused = 0;
  for (let round = 0; round < rounds; round++) {
    const read = await framesOf(path, spoilt(dice, wal), look.index);
    if (read === "refused") refused += 1;
    else expect(read).toBe(whole);
  }
  // The rest changed nothing, or the checkpoint number, which no reader uses.
  expect(refused).toBeGreaterThan(rounds * 0.8);
});

/** How far checkpoints are: nothing that is captured rests on them. */
const unprotected = { nBackfill: 0, nBackfillAttempted: 0 };

test("an index that was spoilt is what it was, torn, or of an unknown version; what is not protected decides about no frame", () => {
  using folder = temporaryFolder();
  const { index } = written(folder.path);
  const path = join(folder.path, "index");
  const whole = looked(path, index);
  const dice = new SeededRandom(2);
  let torn = 0;
  for (let round = 0; round < rounds; round++) {
    const look = looked(path, spoilt(dice, index));
    if (look.kind !== "index") torn += 1;
    // These two have no checksum: SQLite itself believes them as they stand.
    else expect({ ...look.index, ...unprotected }).toEqual({ ...(whole as typeof look).index, ...unprotected });
  }
  expect(torn).toBeGreaterThan(rounds * 0.5);
});

test("an index with a valid checksum and another frame, page size, generation, page count or checksum than the log is refused", async () => {
  using folder = temporaryFolder();
  const { wal, index } = written(folder.path);
  const path = join(folder.path, "index");
  const log = join(folder.path, "log");
  const truth = looked(path, index);
  if (truth.kind !== "index") throw new Error(`the index of SQLite is ${truth.kind}`);
  const dice = new SeededRandom(3);
  for (let round = 0; round < rounds; round++) {
    const word = dice.pick([3, 4, 5, 6, 7, 8, 9]);
    const value = dice.pick([
      0,
      1,
      2,
      0x7fff_ffff,
      0xffff_ffff,
      dice.int(0, 0xffff_ffff),
      dice.int(0, 2 * truth.index.mxFrame),
    ]);
    const look = looked(
      path,
      sealed(
        index,
        (words) =>
          (words[word] =
            word === 3
              ? (value & (isLittle ? 0xffff_0000 : 0x0000_ffff)) |
                ((words[3] ?? 0) & (isLittle ? 0x0000_ffff : 0xffff_0000))
              : value),
      ),
    );
    if (look.kind !== "index") throw new Error("sealed, and not an index");
    const isSame = Object.entries(truth.index).every(
      ([key, was]) => Object.hasOwn(unprotected, key) || look.index[key as keyof Index] === was,
    );
    const read = await framesOf(log, wal, look.index);
    if (!isSame && look.index.mxFrame > 0)
      expect({ look: look.index, read }).toEqual({ look: look.index, read: "refused" });
  }
});
