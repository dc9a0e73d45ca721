import { expect, test } from "bun:test";
import { freePorts } from "../../src/runtime/free-ports.ts";

test("ports that were given are not given again while others are free, though nothing listens there yet", async () => {
  const ports: number[] = [];
  for (let round = 0; round < 7; round++) ports.push(...(await freePorts(50, "applications")));
  expect(new Set(ports).size).toBe(ports.length);
});

test("workers of one test run never draw the same port", async () => {
  const before = process.env["BUN_TEST_WORKER_ID"];
  const drawnBy = async (worker: string): Promise<number[]> => {
    process.env["BUN_TEST_WORKER_ID"] = worker;
    return freePorts(100);
  };
  try {
    const ports = [...(await drawnBy("1")), ...(await drawnBy("2")), ...(await drawnBy("7")), ...(await drawnBy("8"))];
    expect(new Set(ports).size).toBe(400);
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(20_000);
    expect(Math.max(...ports)).toBeLessThan(26_000);
  } finally {
    if (before === undefined) delete process.env["BUN_TEST_WORKER_ID"];
    else process.env["BUN_TEST_WORKER_ID"] = before;
  }
});
