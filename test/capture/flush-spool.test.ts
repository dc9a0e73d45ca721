/** A flush that is larger than what a secondary keeps in memory waits in a file for its last part. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { checksumOfPages } from "../../src/capture/page-hashes.ts";
import { Replica } from "../../src/capture/replica.ts";
import type { DatabaseDelta } from "../../src/core/delta.ts";
import type { Flush } from "../../src/core/flush.ts";
import { FlushAssembler } from "../../src/vault/log/flush-assembler.ts";
import { flushBytesInMemoryMax } from "../../src/vault/limits.ts";
import { genesisHash } from "../../src/vault/log/record-codec.ts";
import type { LogRecord, RecordBody } from "../../src/vault/record.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

const pageSize = 65_536;
const pagesPerPart = flushBytesInMemoryMax / 2 / pageSize;
const parts = 4;

function record(position: number, body: RecordBody): LogRecord {
  return {
    header: { position, epoch: 1, host: "a", nonce: "00".repeat(16), wallTimeMs: 0, previousHash: genesisHash },
    body,
    sections: [],
    format: 1,
    steadVersion: undefined,
    hash: genesisHash,
  };
}

/** Parts of one flush over a whole database of random pages. */
function flushOf(content: Uint8Array): RecordBody[] {
  const checksum = checksumOfPages(pageSize, 1, content);
  const pageCount = content.byteLength / pageSize;
  return Array.from({ length: parts }, (_, part) => {
    const pages = Array.from({ length: pagesPerPart }, (__, i) => {
      const number = part * pagesPerPart + i + 1;
      return { number, content: content.slice((number - 1) * pageSize, number * pageSize) };
    });
    const delta: DatabaseDelta = { name: "app.db", pageSize, pageCount, checksum, pages };
    return { kind: "commit", part: part + 1, parts, databases: [delta] };
  });
}

const random = (): Uint8Array =>
  new Uint8Array(parts * pagesPerPart * pageSize).map((_, i) => Math.imul(i, 2_654_435_761) >>> 24);
/** Descriptors of this process on a file that is gone by this name. */
const open = (folder: string): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false;
    }
  }).length;

async function begin(): Promise<{ replica: Replica; folder: string; spool: string } & AsyncDisposable> {
  const temporary = temporaryFolder();
  const spool = join(temporary.path, "state");
  mkdirSync(spool);
  const replica = await Replica.open({ root: join(temporary.path, "data"), spoolFolder: spool });
  return {
    replica,
    folder: join(temporary.path, "data"),
    spool,
    async [Symbol.asyncDispose]() {
      await replica.close();
      expect(open(spool)).toBe(0);
      temporary[Symbol.dispose]();
    },
  };
}

test("a flush is applied from its file, which has no name meanwhile and is closed afterwards", async () => {
  await using it = await begin();
  const content = random();
  const assembler = new FlushAssembler(it.replica.spool);
  let complete: Flush | undefined;
  for (const [at, body] of flushOf(content).entries()) {
    complete = assembler.push(record(at + 1, body));
    // The content of a part is no longer needed when the next one comes.
    for (const { pages } of body.kind === "commit" && at >= 2 ? body.databases : [])
      for (const page of pages) page.content.fill(0);
  }
  if (complete === undefined) throw new Error("the flush is complete");
  expect(open(it.spool)).toBe(1);
  expect(readdirSync(it.spool)).toEqual([]);
  await it.replica.apply(complete);
  expect(Buffer.compare(readFileSync(join(it.folder, "app.db")), content)).toBe(0);
  expect(open(it.spool)).toBe(0);
});

test("a flush whose writer died in the middle is dropped with its file", async () => {
  await using it = await begin();
  const assembler = new FlushAssembler(it.replica.spool);
  for (const [at, body] of flushOf(random()).slice(0, 3).entries()) assembler.push(record(at + 1, body));
  expect(open(it.spool)).toBe(1);
  assembler.push(record(4, { kind: "epoch", leaseMs: 1, controlUrl: "http://b", instance: "b" }));
  expect(open(it.spool)).toBe(0);
  const [first] = flushOf(random());
  if (first?.kind !== "commit") throw new Error("a commit");
  expect(assembler.push(record(5, { ...first, part: 1, parts: 1 }))?.deltas).toHaveLength(1);
});

test("a small flush needs no file", async () => {
  await using it = await begin();
  const assembler = new FlushAssembler(it.replica.spool);
  const [first, second] = flushOf(random());
  for (const [at, body] of [first, second].entries()) if (body !== undefined) assembler.push(record(at + 1, body));
  expect(open(it.spool)).toBe(0);
});
