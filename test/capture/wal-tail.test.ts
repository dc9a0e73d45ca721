/** What is taken for older content of a log, and what for commits that the index does not have. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { EventLoopBudget } from "../../src/runtime/event-loop-budget.ts";
import { addChecksum, parseWalHeader, type WalHeader } from "../../src/capture/wal-frames.ts";
import { WalTail } from "../../src/capture/wal-tail.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

const headerBytes = 32;
const frameBytes = 24 + 4096;

/** What frame `frame` (from 1) says that its chain's checksum is; that of the header for 0. */
function sumAt(log: Buffer, frame: number): { s1: number; s2: number } {
  const at = frame === 0 ? headerBytes - 8 : headerBytes + (frame - 1) * frameBytes + 16;
  return { s1: log.readUInt32BE(at), s2: log.readUInt32BE(at + 4) };
}

/** Frames behind frame `after`, each a commit of page 1 with new content. */
function framesBehind(log: Buffer, header: WalHeader, after: number, count: number): Uint8Array {
  const sum = sumAt(log, after);
  const bytes = new Uint8Array(count * frameBytes);
  for (let offset = 0; offset < bytes.byteLength; offset += frameBytes) {
    const view = new DataView(bytes.buffer, offset, frameBytes);
    view.setUint32(0, 1);
    view.setUint32(4, 1);
    view.setUint32(8, header.salt1);
    view.setUint32(12, header.salt2);
    view.setUint32(24, 4711 + offset);
    addChecksum(sum, new Int32Array(bytes.buffer, offset, 2), header.bigEndian);
    addChecksum(sum, new Int32Array(bytes.buffer, offset + 24, 1024), header.bigEndian);
    view.setUint32(16, sum.s1);
    view.setUint32(20, sum.s2);
  }
  return bytes;
}

/** A log with one commit, and its salts. */
function begin() {
  const folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const database = new Database(path);
  database.run("PRAGMA journal_mode=WAL");
  database.run("CREATE TABLE t(v)");
  const walFd = openSync(`${path}-wal`, "r+");
  const header = readFileSync(`${path}-wal`);
  const parsed = parseWalHeader(new Uint8Array(header.subarray(0, headerBytes))) as WalHeader;
  const frames = (header.byteLength - headerBytes) / frameBytes;
  const { s1, s2 } = sumAt(header, frames);
  return {
    walFd,
    salt1: header.readUInt32BE(16),
    salt2: header.readUInt32BE(20),
    frames,
    end: { salt1: parsed.salt1, salt2: parsed.salt2, mxFrame: frames, checksum1: s1, checksum2: s2 },
    /** Writes frames as a writer does that takes the log to end with frame `after`. */
    write: (after: number, count: number) => {
      const bytes = framesBehind(header, parsed, after, count);
      writeSync(walFd, bytes, 0, bytes.byteLength, headerBytes + after * frameBytes);
    },
    walk: (salt1: number, salt2: number) =>
      new WalTail({ walFd }, () => Date.now()).walk(
        { salt1, salt2, mxFrame: 0, checksum1: 0, checksum2: 0 },
        new EventLoopBudget(),
      ),
    [Symbol.dispose]() {
      closeSync(walFd);
      database.close();
      folder[Symbol.dispose]();
    },
  };
}

test("the generation before that of the index, which a checkpoint has reset, is older content", async () => {
  using it = begin();
  expect(await it.walk((it.salt1 + 1) >>> 0, 4711)).toEqual({ kind: "uncommitted" });
});

test("commits in the log of an index that never had frames are not older content", async () => {
  using it = begin();
  expect(await it.walk(0, 0)).toMatchObject({ kind: "committed", goesOn: false });
});

test("commits of the generation of an index without frames are not older content", async () => {
  using it = begin();
  expect(await it.walk(it.salt1, it.salt2)).toMatchObject({ kind: "committed", goesOn: false });
});

test("a write over the generation before, which no writer that uses the index makes after a reset, is found", async () => {
  using it = begin();
  const nowMs = Date.now() + 60_000; // Stamps have settled.
  const tail = new WalTail({ walFd: it.walFd }, () => nowMs);
  const at = { salt1: (it.salt1 + 1) >>> 0, salt2: 4711, mxFrame: 0, checksum1: 0, checksum2: 0 };
  expect(await tail.walk(at, new EventLoopBudget())).toEqual({ kind: "uncommitted" });
  expect(tail.isQuiet(at)).toBe(true);
  // The page of the last frame: its checksum is wrong now, and nothing is behind it.
  writeSync(it.walFd, Buffer.from("other content"), 0, 13, headerBytes + it.frames * frameBytes - 100);
  expect(tail.isQuiet(at)).toBe(false);
  expect(await tail.walk(at, new EventLoopBudget())).toEqual({ kind: "rewritten" });
});

test("of the generation before that of the index no commit is found behind the captured end, of the present one the first", () => {
  using it = begin();
  const commitBehind = (salt1: number, salt2: number) =>
    new WalTail({ walFd: it.walFd }, () => Date.now()).commitBehind({
      ...{ salt1, salt2 },
      ...{ mxFrame: 0, checksum1: 0, checksum2: 0 },
    });
  expect(commitBehind((it.salt1 + 1) >>> 0, 4711)).toBeUndefined();
  expect(commitBehind(it.salt1, it.salt2)).toMatchObject({ isProved: true, end: { salt1: it.salt1 } });
  expect(commitBehind(0, 0)).toMatchObject({ isProved: true });
});

/** The tail of a log whose captured end was found quiet. */
async function captured(it: ReturnType<typeof begin>) {
  const nowMs = Date.now() + 60_000; // Stamps have settled.
  const tail = new WalTail({ walFd: it.walFd }, () => nowMs);
  expect(tail.isQuiet(it.end)).toBe(true);
  return { isQuiet: () => tail.isQuiet(it.end), walk: () => tail.walk(it.end, new EventLoopBudget()) };
}

test("frames over captured ones that reach behind the captured end are found", async () => {
  using it = begin();
  const tail = await captured(it);
  it.write(it.frames - 1, 2);
  expect(tail.isQuiet()).toBe(false);
  expect(await tail.walk()).toEqual({ kind: "rewritten" });
});

test("a frame behind the captured end whose checksum is not written yet is none over it", async () => {
  using it = begin();
  const tail = await captured(it);
  it.write(it.frames, 1);
  // As SQLite leaves it while it has written a page of the same transaction again (wal.c, walRewriteChecksums).
  writeSync(it.walFd, Buffer.from("other content"), 0, 13, headerBytes + (it.frames + 1) * frameBytes - 100);
  expect(tail.isQuiet()).toBe(true);
});
