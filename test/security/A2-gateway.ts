/**
 * A gateway as a process of its own that uses up its descriptors when told: `exhaust MS` on its standard input.
 * Argument: its configuration file.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseConfig } from "../../src/config/load.ts";
import { Gateway } from "../../src/gateway/gateway.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const file = process.argv[2] ?? "";
const result = parseConfig(file, readFileSync(file, "utf8"), { env: process.env });
if (result.kind === "invalid" || result.config.gateway === undefined) throw new Error(JSON.stringify(result));
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const reader = new URL("../support/gateway/sql-reader-main.ts", import.meta.url).pathname;
await Gateway.start(result.config.gateway, {
  clock: systemClock,
  sqlReader: [process.execPath, reader],
  log: silent,
});

const held: number[] = [];
function takeAll(): void {
  try {
    for (;;) held.push(openSync("/dev/null", "r"));
  } catch {
    // None is left.
  }
}
function freeAll(): void {
  for (const descriptor of held.splice(0)) closeSync(descriptor);
}

/** None is left for most of the time, and now and then there are some, as with clients that come and go. */
const takenMs = 400;
const freeMs = 100;

createInterface({ input: process.stdin }).on("line", (line) => {
  const until = performance.now() + Number(/^exhaust (\d+)$/.exec(line)?.[1]);
  process.stdout.write("exhausted\n");
  const tick = setInterval(() => {
    const now = performance.now();
    if (now > until) {
      clearInterval(tick);
      freeAll();
      process.stdout.write("freed\n");
    } else if ((until - now) % (takenMs + freeMs) < takenMs) takeAll();
    else freeAll();
  }, 1);
});
process.stdout.write("ready\n");
