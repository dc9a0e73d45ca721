import { expect, test } from "bun:test";
import { hashPage, pageHashBytes, PageHashes } from "../../src/capture/page-hashes.ts";
import { PageHasher } from "../../src/capture/page-hasher.ts";

const pageSize = 4096;
const large = 64 * 2 ** 20;

function pages(count: number): Uint8Array {
  const bytes = new Uint8Array(count * pageSize);
  for (let page = 0; page < count; page += 1) bytes.fill(page + 1, page * pageSize, (page + 1) * pageSize);
  return bytes;
}

const expected = (bytes: Uint8Array, first: number): Uint8Array =>
  Buffer.concat(
    Array.from({ length: bytes.length / pageSize }, (_, at) =>
      hashPage(first + at, bytes.subarray(at * pageSize, (at + 1) * pageSize)),
    ),
  );

for (const [where, bytes] of [
  ["here", 2 ** 20],
  ["in a thread", large],
] as const)
  test(`hashes pages by their numbers ${where}, and gives them back as they were`, async () => {
    const hasher = new PageHasher(bytes);
    try {
      const pieces = await Promise.all([1, 17, 300].map((first) => hasher.hash({ bytes: pages(5), pageSize, first })));
      for (const [at, first] of [1, 17, 300].entries()) {
        expect(Buffer.compare(pieces[at]?.hashes ?? new Uint8Array(0), expected(pages(5), first))).toBe(0);
        expect(Buffer.compare(pieces[at]?.bytes ?? new Uint8Array(0), pages(5))).toBe(0);
      }
      await expect(async () => hasher.hash({ bytes: new Uint8Array(pageSize + 1), pageSize, first: 1 })).toThrow(
        RangeError,
      );
    } finally {
      await hasher.close();
    }
  });

test("the thread gets the memory of a piece that has it alone, and a copy of a part of something larger", async () => {
  const hasher = new PageHasher(large);
  try {
    const alone = pages(4);
    await hasher.hash({ bytes: alone, pageSize, first: 1 });
    expect(alone.byteLength).toBe(0);
    const whole = pages(8);
    const part = whole.subarray(pageSize, 3 * pageSize);
    const { hashes } = await hasher.hash({ bytes: part, pageSize, first: 1 });
    expect(Buffer.compare(whole, pages(8))).toBe(0);
    expect(Buffer.compare(hashes, expected(pages(8).subarray(pageSize, 3 * pageSize), 1))).toBe(0);
  } finally {
    await hasher.close();
  }
});

test("a hasher that is closed rejects what is in progress", async () => {
  const hasher = new PageHasher(large);
  const hashing = hasher.hash({ bytes: pages(4), pageSize, first: 1 });
  hashing.catch(() => undefined);
  await hasher.close();
  await expect(hashing).rejects.toThrow("closed");
});

test("a table takes the hashes of a run of pages, and names the first page that has another one", () => {
  const table = new PageHashes(pageSize);
  table.resize(6);
  const hashes = expected(pages(4), 2);
  table.setRun(2, hashes);
  expect(table.firstOther(2, hashes)).toBeUndefined();
  const changed = hashes.slice();
  changed[2 * pageHashBytes] = (changed[2 * pageHashBytes] ?? 0) ^ 1;
  expect(table.firstOther(2, changed)).toBe(4);
  expect(table.firstOther(6, Buffer.concat([table.hashOf(6), hashes]))).toBe(7);
  expect(() => table.setRun(5, hashes)).toThrow(RangeError);
});
