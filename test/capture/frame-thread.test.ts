import { afterEach, expect, mock, spyOn, test } from "bun:test";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { FrameThread } from "../../src/capture/frame-thread.ts";
import { frameHeaderBytes, frameOffset } from "../../src/capture/wal-frames.ts";
import {
  framesOf,
  madeFrameBytes,
  madePageBytes,
  madeSalt1,
  madeSalt2,
  madeSeed,
} from "../support/capture/made-frames.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

afterEach(() => void mock.restore());

const [pageSize, size, salt1, salt2, seed] = [madePageBytes, madeFrameBytes, madeSalt1, madeSalt2, madeSeed];

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

test("a thread that fails tells why to what waits for it, and the next request has another one", async () => {
  using folder = temporaryFolder();
  const fd = openSync(join(folder.path, "log"), "w+");
  writeSync(fd, framesOf([new Uint8Array(pageSize)]), 0, size, frameOffset(1, pageSize));
  const request = { walFd: fd, pageSize, salt1, salt2, first: 1, count: 1, headBytes: 0 };
  const thread = new FrameThread();
  try {
    // A message that is none: nothing in the thread expects it.
    const post = spyOn(Worker.prototype, "postMessage");
    post.mockImplementationOnce(function (this: Worker) {
      this.postMessage(undefined);
    });
    const error: unknown = await thread.take(request).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).not.toContain("has ended");
    expect([...((await thread.take(request))?.pages ?? [])]).toEqual([1]);
  } finally {
    await thread.close();
    closeSync(fd);
  }
});
