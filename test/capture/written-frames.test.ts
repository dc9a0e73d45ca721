import { expect, test } from "bun:test";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isWritten, writtenUpTo } from "../../src/capture/written-frames.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

/** walformat.html, section 2.2: the first block has room for 4062 frames, each further one for 4096. */
const [inFirst, blockBytes, written] = [4062, 32_768, 5_000];

test("frames are written up to the first one without an entry, across blocks, and as far as the file reaches", () => {
  using folder = temporaryFolder();
  const shmFd = openSync(join(folder.path, "index"), "w+");
  try {
    const index = new Uint32Array((2 * blockBytes) / 4);
    for (let frame = 1; frame <= written; frame++)
      index[frame <= inFirst ? 34 + frame - 1 : blockBytes / 4 + frame - inFirst - 1] = frame;
    writeSync(shmFd, new Uint8Array(index.buffer));
    expect([1, inFirst, inFirst + 1, written, written + 1].map((frame) => isWritten(shmFd, frame))).toEqual([
      ...[true, true, true, true, false],
    ]);
    expect(writtenUpTo(shmFd, 0, 10)).toBe(10);
    expect(writtenUpTo(shmFd, inFirst - 10, 100)).toBe(inFirst + 90);
    expect(writtenUpTo(shmFd, 0, 10_000)).toBe(written);
    expect(writtenUpTo(shmFd, written - 7, 100)).toBe(written);
    expect(writtenUpTo(shmFd, written, 100)).toBe(written);
    // A block that is not there has no entries.
    ftruncateSync(shmFd, blockBytes + 10 * 4);
    expect(writtenUpTo(shmFd, inFirst, 100)).toBe(inFirst + 10);
    expect([inFirst + 10, inFirst + 11].map((frame) => isWritten(shmFd, frame))).toEqual([true, false]);
  } finally {
    closeSync(shmFd);
  }
});
