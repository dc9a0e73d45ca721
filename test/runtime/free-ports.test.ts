import { expect, test } from "bun:test";
import { freePorts } from "../../src/runtime/free-ports.ts";

test("ports that were given are not given again while others are free, though nothing listens there yet", async () => {
  const ports: number[] = [];
  for (let round = 0; round < 20; round++) ports.push(...(await freePorts(50, "applications")));
  expect(new Set(ports).size).toBe(ports.length);
});
