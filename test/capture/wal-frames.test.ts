import { expect, test } from "bun:test";
import {
  addChecksum,
  frameBytes,
  frameHeaderBytes,
  frameOffset,
  parseWalHeader,
  takeFrame,
} from "../../src/capture/wal-frames.ts";

/** A WAL of 512-byte pages, built by the format's description, in either byte order. */
function buildWal(bigEndian: boolean, frames: readonly { page: number; commit: number; fill: number }[]): Uint8Array {
  const bytes = new Uint8Array(32 + frames.length * frameBytes(512));
  const view = new DataView(bytes.buffer);
  const header = [0x377f0682 + (bigEndian ? 1 : 0), 3_007_000, 512, 0, 0x11111111, 0x22222222];
  header.forEach((word, i) => view.setUint32(i * 4, word));
  let sum = reference([0, 0], bytes.subarray(0, 24), bigEndian);
  view.setUint32(24, sum[0]);
  view.setUint32(28, sum[1]);
  frames.forEach(({ page, commit, fill }, i) => {
    const at = frameOffset(i + 1, 512);
    view.setUint32(at, page);
    view.setUint32(at + 4, commit);
    view.setUint32(at + 8, 0x11111111);
    view.setUint32(at + 12, 0x22222222);
    bytes.fill(fill, at + frameHeaderBytes, at + frameHeaderBytes + 512);
    sum = reference(sum, bytes.subarray(at, at + 8), bigEndian);
    sum = reference(sum, bytes.subarray(at + frameHeaderBytes, at + frameHeaderBytes + 512), bigEndian);
    view.setUint32(at + 16, sum[0]);
    view.setUint32(at + 20, sum[1]);
  });
  return bytes;
}

/** The checksum as walformat.html writes it, with exact integers. */
function reference([s0, s1]: readonly [number, number], bytes: Uint8Array, bigEndian: boolean): [number, number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [a, b] = [BigInt(s0), BigInt(s1)];
  for (let i = 0; i < bytes.byteLength; i += 8) {
    a = BigInt.asUintN(32, a + BigInt(view.getUint32(i, !bigEndian)) + b);
    b = BigInt.asUintN(32, b + BigInt(view.getUint32(i + 4, !bigEndian)) + a);
  }
  return [Number(a), Number(b)];
}

const sample = [
  { page: 2, commit: 0, fill: 0xff },
  { page: 1, commit: 2, fill: 0x80 },
  { page: 3, commit: 3, fill: 0x07 },
];

for (const bigEndian of [false, true]) {
  test(`frames with ${bigEndian ? "big" : "little"}-endian checksums are read in order, with their commits`, () => {
    const bytes = buildWal(bigEndian, sample);
    const header = parseWalHeader(bytes);
    if (header === undefined) throw new Error("no header");
    expect(header).toMatchObject({ bigEndian, pageSize: 512, salt1: 0x11111111, salt2: 0x22222222 });
    const sum = { ...header.checksum };
    const frames = sample.map((_, i) => takeFrame(bytes, frameOffset(i + 1, 512), header, sum));
    expect(frames).toEqual(sample.map(({ page, commit }) => ({ page, commitPageCount: commit })));
  });
}

test("a bit that is flipped anywhere in a frame is noticed", () => {
  for (let at = 0; at < frameBytes(512); at += 7) {
    const bytes = buildWal(false, sample);
    const header = parseWalHeader(bytes);
    if (header === undefined) throw new Error("no header");
    const offset = frameOffset(1, 512) + at;
    bytes[offset] = (bytes[offset] ?? 0) ^ (1 << (at % 8));
    expect(takeFrame(bytes, frameOffset(1, 512), header, { ...header.checksum })).toBeUndefined();
  }
});

test("a header with any wrong byte is no header", () => {
  for (let at = 0; at < 32; at++) {
    const bytes = buildWal(false, []);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    expect(parseWalHeader(bytes)).toBeUndefined();
  }
  expect(parseWalHeader(new Uint8Array(31))).toBeUndefined();
});

test("the fast checksum agrees with exact arithmetic on values that overflow", () => {
  const words = Int32Array.from({ length: 1024 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  const sum = { s1: 0xffffffff, s2: 0xfffffffe };
  addChecksum(sum, words, false);
  expect([sum.s1, sum.s2]).toEqual(reference([0xffffffff, 0xfffffffe], new Uint8Array(words.buffer), false));
});
