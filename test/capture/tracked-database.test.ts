import { expect, test } from "bun:test";
import { hashPage } from "../../src/capture/page-hashes.ts";
import { captured } from "../support/capture/captured-database.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

test("a page that was cut off, and comes back without content, is not read from its frame of before", async () => {
  using folder = temporaryFolder();
  const database = await captured(folder.path);
  const index = database.look();
  if (index === undefined) throw new Error("the index is torn");
  const { pageSize, pageCount } = database;
  /** A commit of this log: pages with the frames that wrote them last. */
  const commit = (mxFrame: number, pages: number, frames: ReadonlyMap<number, number>): void =>
    database.accept({
      ...{ database, to: { ...index, mxFrame, pageCount: pages }, pageCount: pages, contents: undefined },
      frames: new Map(frames),
      hashes: new Map([...frames.keys()].map((page) => [page, hashPage(page, new Uint8Array(pageSize))] as const)),
    });
  const [first, second] = [pageCount + 1, pageCount + 2];
  commit(
    2,
    second,
    new Map([
      [first, 1],
      [second, 2],
    ]),
  );
  commit(3, pageCount, new Map([[1, 3]]));
  commit(4, second, new Map([[1, 4]]));
  const { frames, zeroPages } = database.layout({ ...index, nBackfill: 0 });
  expect(Object.fromEntries(frames)).toEqual({ 1: 4 });
  expect([...zeroPages]).toEqual([first, second]);
  database.files.close(false);
});
