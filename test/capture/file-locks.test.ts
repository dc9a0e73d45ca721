import { expect, test } from "bun:test";
import { databaseLockByte, databaseLockBytesEnd, FileLocks } from "../../src/capture/file-locks.ts";

const own = 1;
const line = (pid: number, start: number, end: number | "EOF"): string =>
  `1: POSIX  ADVISORY  READ ${pid} fe:00:77 ${start} ${end}\n`;
const lockersOf = (text: string): number[] => new FileLocks(text, own).databaseLockers(77n);

test("a lock on any of the database's bytes counts, from the first to the last", () => {
  expect(lockersOf(line(2, databaseLockByte, databaseLockByte))).toEqual([2]);
  expect(lockersOf(line(2, databaseLockBytesEnd, databaseLockBytesEnd))).toEqual([2]);
  expect(lockersOf(line(2, 0, "EOF"))).toEqual([2]);
});

test("locks beside these bytes, of other files and of this process do not", () => {
  expect(lockersOf(line(2, databaseLockByte - 1, databaseLockByte - 1))).toEqual([]);
  expect(lockersOf(line(2, databaseLockBytesEnd + 1, databaseLockBytesEnd + 1))).toEqual([]);
  expect(lockersOf(line(own, databaseLockByte, databaseLockByte))).toEqual([]);
  expect(lockersOf(line(2, databaseLockByte, databaseLockByte).replace(":77 ", ":78 "))).toEqual([]);
});
