import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import type { Batch } from "../../../src/capture/batch.ts";
import { CaptureError } from "../../../src/capture/capture-error.ts";
import { Application, Pair, type PairOptions, partsOf, temporaryFolder } from "../../support/capture/pair.ts";

/** A whole database outside the data folder, and a pair over an empty one. */
async function begin(bytes: number, options: PairOptions = {}) {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const path = join(folder.path, "made.db");
  const application = new Application();
  await application.open("a", path);
  await application.run(
    "a",
    `CREATE TABLE t(id INTEGER PRIMARY KEY, v); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${bytes / 4000}) INSERT INTO t(v) SELECT randomblob(3900) FROM n`,
  );
  await application.close("a");
  const pair = await Pair.open(folder.path, options);
  return {
    made: path,
    target: join(root, "app.db"),
    pair,
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

/** Writes into the file as another process: closing it here would drop the locks of this one. */
function zero(path: string, page: number): void {
  const { exitCode } = Bun.spawnSync(
    ["dd", "if=/dev/zero", `of=${path}`, "bs=4096", `seek=${page}`, "count=1", "conv=notrunc"],
    { stderr: "ignore" },
  );
  expect(exitCode).toBe(0);
}

test("a page that changes between its hash and its record ends the collection before the record is put", async () => {
  await using it = await begin(400_000, { limits: { eagerBytesMax: 0, partBytesMax: 50_000 } });
  copyFileSync(it.made, it.target);
  let batch: Batch | undefined;
  while (batch === undefined) batch = await it.pair.source.collect();
  zero(it.target, 50);
  expect(() => partsOf(batch)).toThrow(CaptureError);
});
