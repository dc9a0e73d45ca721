import { expect, test } from "bun:test";
import { CopyBacklog } from "../../../src/core/host/copy-backlog.ts";

test("the bytes after a position are those of the records after the last sample that it reaches", () => {
  const backlog = new CopyBacklog();
  backlog.add({ position: 10, bytes: 100 });
  backlog.add({ position: 20, bytes: 300 });
  backlog.add({ position: 30, bytes: 350 });
  expect(backlog.after(9)).toBe(350);
  expect(backlog.after(10)).toBe(250);
  expect(backlog.after(19)).toBe(250);
  expect(backlog.after(20)).toBe(50);
  expect(backlog.after(30)).toBe(0);
});

test("a backlog that lasts for long is still exact at its end, and never counts too little", () => {
  const backlog = new CopyBacklog();
  for (let position = 1; position <= 5_000; position += 1) backlog.add({ position, bytes: position * 10 });
  expect(backlog.after(0)).toBe(50_000);
  expect(backlog.after(2_000)).toBeGreaterThanOrEqual(30_000);
  expect(backlog.after(2_000)).toBeLessThan(31_000);
  expect(backlog.after(5_000)).toBe(0);
});
