/** Who only proves flushes keeps hashes of a large one, not its pages. */
import { expect, test } from "bun:test";
import { checksumOfPages } from "../../src/capture/page-hashes.ts";
import { pageProof } from "../../src/host/secondary/page-proof.ts";
import { FlushAssembler } from "../../src/vault/log/flush-assembler.ts";
import { flushBytesInMemoryMax } from "../../src/vault/limits.ts";
import { genesisHash } from "../../src/vault/log/record-codec.ts";
import type { Flush } from "../../src/core/flush.ts";

const pageSize = 65_536;
const pagesPerPart = flushBytesInMemoryMax / 2 / pageSize;
const parts = 4;
const content = new Uint8Array(parts * pagesPerPart * pageSize).map((_, i) => Math.imul(i, 2_654_435_761) >>> 24);

/**
 * The flush as it is put together of records whose bytes are gone afterwards. `spoiltPart`: one of its pages is another
 * one.
 */
function assembled(spoiltPart?: number): Flush {
  const assembler = new FlushAssembler(pageProof.keeper);
  const checksum = checksumOfPages(pageSize, 1, content);
  let complete: Flush | undefined;
  for (let part = 1; part <= parts; part += 1) {
    const pages = Array.from({ length: pagesPerPart }, (_, i) => {
      const number = (part - 1) * pagesPerPart + i + 1;
      return { number, content: content.slice((number - 1) * pageSize, number * pageSize) };
    });
    if (part === spoiltPart) pages[3]?.content.fill(1, 0, 1);
    const databases = [
      {
        name: "app.db",
        pageSize,
        pageCount: parts * pagesPerPart,
        checksum: part === parts ? checksum : new Uint8Array(16),
        pages,
      },
    ];
    const header = {
      position: part,
      epoch: 1,
      host: "a",
      nonce: "00".repeat(16),
      wallTimeMs: 0,
      previousHash: genesisHash,
    };
    complete = assembler.push({
      header,
      body: { kind: "commit", part, parts, databases },
      sections: [],
      format: 1,
      steadVersion: undefined,
      hash: genesisHash,
    });
    // The first parts may still be in memory when the flush is complete; those that are beyond the limit are not.
    if (part > 2) for (const page of pages) page.content.fill(0);
  }
  if (complete === undefined) throw new Error("the flush is complete");
  return complete;
}

test("a large flush is proved without its pages", async () => {
  const state = pageProof.emptyState();
  const flush = assembled();
  expect(await state.apply(flush)).toBeUndefined();
  expect(state.checksums().get("app.db")).toEqual(checksumOfPages(pageSize, 1, content));
  expect(() => flush.deltas.at(-1)?.pages[0]?.content).toThrow("only the hash was kept");
});

test("a flush with a wrong page is refused, wherever that page is", async () => {
  for (const part of [1, 3, parts])
    expect(await pageProof.emptyState().apply(assembled(part))).toMatchObject({
      database: "app.db",
      reason: expect.stringContaining("after the flush"),
    });
});
