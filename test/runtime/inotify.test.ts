/** Proves what the reader of events reports for an empty queue, for events, and for an error. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Inotify } from "../../src/runtime/inotify.ts";

test.skipIf(process.platform !== "linux")(
  "an empty queue reports nothing, a write is reported before it returns, and an error means that anything may have happened",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "stead-inotify-"));
    const events = await Inotify.open();
    if (typeof events === "string") throw new Error(events);
    const seen: string[] = [];
    const read = (): boolean => events.read(({ entry }) => void seen.push(entry));
    events.watch(folder);
    expect([read(), seen]).toEqual([false, []]);
    writeFileSync(join(folder, "a"), "1");
    expect([read(), new Set(seen)]).toEqual([false, new Set(["a"])]);
    events.close();
    expect(read()).toBe(true);
    rmSync(folder, { recursive: true });
  },
);
