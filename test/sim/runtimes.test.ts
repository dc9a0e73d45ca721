/** A seed gives the same history under every runtime: nothing of one of them has a say in it. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRuntime } from "../../scripts/lib/runtimes.ts";
import { run } from "./run.ts";

// Generous: the machine may be busy.
setDefaultTimeout(120_000);

const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
let folder = "";
let bundle = "";
const traces = new Map<number, string>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "stead-sim-bundle-"));
  const built = await Bun.build({
    entrypoints: [join(import.meta.dirname, "main.ts")],
    target: "node",
    outdir: folder,
    naming: "sim.mjs",
  });
  bundle = built.outputs[0]?.path ?? "";
  for (const seed of seeds) traces.set(seed, (await run({ seed })).hash);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the same seeds have the same traces as under Bun", () => {
  for (const name of ["node", "deno"] as const) {
    const runtime = findRuntime(name);
    if (runtime.kind === "missing") console.log(`skipped, the simulator under ${name}: ${runtime.why}`);
    test.skipIf(runtime.kind === "missing")(`under ${name}`, () => {
      if (runtime.kind === "missing") throw new Error(runtime.why);
      const [program, ...args] = runtime.command;
      for (const seed of seeds) {
        const { stdout, stderr } = spawnSync(program, [...args, bundle, "--seed", String(seed)], { encoding: "utf8" });
        expect({ seed, stderr, trace: /^trace ([0-9a-f]+), the same when run again/m.exec(stdout)?.[1] }).toEqual({
          seed,
          stderr: "",
          trace: traces.get(seed),
        });
      }
    });
  }
});
