/**
 * `stead` whose primary journals one flush with a page that is not the one that was hashed, as earlier versions could:
 * the next commit after a file `spoil` appears in the working folder. The file is gone when it was done.
 */
import { existsSync, rmSync } from "node:fs";
import { Source } from "../../../src/capture/source.ts";
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import type { CaptureBatch } from "../../../src/host/ports/ports.ts";

const flip = (delta: DatabaseDelta): DatabaseDelta => ({
  ...delta,
  pages: delta.pages.map((page, index) =>
    index === 0 ? { ...page, content: page.content.map((byte) => byte ^ 1) } : page,
  ),
});

const collect: (this: Source) => Promise<CaptureBatch | undefined> = Source.prototype.collect;
Source.prototype.collect = async function (this: Source) {
  const batch = await collect.call(this);
  if (batch === undefined || !existsSync("spoil")) return batch as never;
  rmSync("spoil");
  const spoiled: CaptureBatch = {
    bytes: batch.bytes,
    partCount: batch.partCount,
    *parts() {
      for (const deltas of batch.parts()) yield deltas.map(flip);
    },
    done: () => batch.done(),
  };
  return spoiled as never;
};

await import("../../../src/main.ts");
