import { expect, test } from "bun:test";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { FrameThread } from "../../src/capture/frame-thread.ts";
import { addChecksum, frameBytes, frameHeaderBytes, frameOffset } from "../../src/capture/wal-frames.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

const pageSize = 512;
const [salt1, salt2] = [0x1234, 0x5678];
const seed = { s1: 7, s2: 11 };
const size = frameBytes(pageSize);

/** Frames of pages 1, 2, …, the last of which commits; checksums as SQLite writes them. */
function framesOf(pages: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pages.length * size);
  const view = new DataView(bytes.buffer);
  const sum = { ...seed };
  for (const [i, page] of pages.entries()) {
    const start = i * size;
    view.setUint32(start, i + 1);
    view.setUint32(start + 4, i + 1 === pages.length ? pages.length : 0);
    view.setUint32(start + 8, salt1);
    view.setUint32(start + 12, salt2);
    bytes.set(page, start + frameHeaderBytes);
    addChecksum(sum, new Int32Array(bytes.buffer, start, 2), false);
    addChecksum(sum, new Int32Array(bytes.buffer, start + frameHeaderBytes, pageSize / 4), false);
    view.setUint32(start + 16, sum.s1);
    view.setUint32(start + 20, sum.s2);
  }
  return bytes;
}

async function proveAfter(change: (pages: Uint8Array[]) => void) {
  using folder = temporaryFolder();
  const thread = new FrameThread();
  const fd = openSync(join(folder.path, "log"), "w+");
  try {
    const pages = Array.from({ length: 5 }, (_, i) => new Uint8Array(pageSize).fill(i + 1));
    writeSync(fd, framesOf(pages), 0, 5 * size, frameOffset(1, pageSize));
    const log = { walFd: fd, pageSize, salt1, salt2, first: 1 };
    const taken = await thread.take({ ...log, count: 5, headBytes: 40 });
    if (taken === undefined) throw new Error("no frame was taken");
    const before = framesOf(pages).subarray(-size);
    change(pages);
    const after = framesOf(pages);
    writeSync(fd, after, 0, 5 * size, frameOffset(1, pageSize));
    const isSameSum =
      Buffer.compare(before.subarray(0, frameHeaderBytes), after.subarray(-size, frameHeaderBytes - size)) === 0;
    return { taken, isSameSum, proved: await thread.prove({ ...log, taken, ...seed }) };
  } finally {
    await thread.close();
    closeSync(fd);
  }
}

test("frames that did not change are proved by their chain of checksums, and lie in memory as in a record", async () => {
  const { taken, proved } = await proveAfter(() => undefined);
  expect(proved).toMatchObject({ commitPageCount: 5, changed: [] });
  expect([...taken.pages]).toEqual([1, 2, 3, 4, 5]);
  expect(taken.bytes.byteLength).toBe(40 + 5 * (4 + pageSize));
  expect([...taken.bytes.subarray(40 + 4 + pageSize, 40 + 4 + pageSize + 5)]).toEqual([2, 0, 0, 0, 2]);
});

test("a page that changed is found, with its new hash", async () => {
  const { proved, isSameSum } = await proveAfter((pages) => pages[2]?.fill(9));
  expect(isSameSum).toBe(false);
  expect(proved?.changed.map(({ at, page }) => ({ at, page }))).toEqual([{ at: 2, page: 3 }]);
});

test("a change that the log's own checksum does not show is found all the same", async () => {
  const { proved, isSameSum } = await proveAfter((pages) => {
    const page = pages[1] as Uint8Array;
    for (const at of [3, 3 + 24]) page[at] = (page[at] as number) ^ 0x80;
  });
  expect(isSameSum).toBe(true);
  expect(proved?.changed.map(({ at }) => at)).toEqual([1]);
});

test("frames that do not continue the chain are not proved", async () => {
  using folder = temporaryFolder();
  const thread = new FrameThread();
  const fd = openSync(join(folder.path, "log"), "w+");
  const bytes = framesOf([new Uint8Array(pageSize), new Uint8Array(pageSize)]);
  writeSync(fd, bytes, 0, 2 * size, frameOffset(1, pageSize));
  const log = { walFd: fd, pageSize, salt1, salt2, first: 1 };
  const taken = await thread.take({ ...log, count: 2, headBytes: 0 });
  if (taken === undefined) throw new Error("no frame was taken");
  expect(await thread.prove({ ...log, taken, s1: seed.s1 + 1, s2: seed.s2 })).toBeUndefined();
  expect(await thread.take({ ...log, salt1: salt1 + 1, count: 2, headBytes: 0 })).toBeUndefined();
  await thread.close();
  closeSync(fd);
});
