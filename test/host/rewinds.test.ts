import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HostState } from "../../src/core/host/life.ts";
import { Rewinds, type RewindsOptions } from "../../src/host/rewinds.ts";
import { writeCheckpoint } from "../../src/vault/checkpoint/checkpoint.ts";
import { MemoryStore } from "../../src/vault/store/memory-store.ts";
import { claimAs, logIn, Pages, zeros } from "../support/host/log-fixture.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

let stateFolder: string;
beforeEach(() => (stateFolder = mkdtempSync(join(tmpdir(), "stead-rewinds-"))));
afterEach(() => rmSync(stateFolder, { recursive: true, force: true }));

/** A primary with a log of some commits; `moment` is before the last of them. */
async function make(changes: Partial<RewindsOptions> = {}) {
  const store = new MemoryStore();
  const pages = new Pages("a.db");
  pages.change({ 1: 1 });
  const at = { position: 0, hash: zeros, epoch: 0, epochPosition: 0, wallTimeMs: 0 };
  await writeCheckpoint({ store, ...at, databases: [pages.snapshot()] });
  const writer = await claimAs(store, "a", { format: 2 });
  const moment = { kind: "position", position: writer.position } as const;
  await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 2 })] });
  const clock = new ManualClock();
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  let ids = 0;
  const rewinds = new Rewinds({
    ...{ ports: { stateFolder }, store, vaultLog: logIn(store), clock, log, newId: () => `id-${++ids}` },
    ...{ role: (): HostState["kind"] => "primary", keptForMs: () => 1_000, obstacleTo: () => undefined },
    onWarning: () => undefined,
    ...changes,
  });
  rewinds.start();
  return { rewinds, clock, moment, folder: join(stateFolder, "rewind"), end: writer.position };
}

describe("a state that is prepared for a rewind", () => {
  test("waits for the order that names it, and is gone once the term is over", async () => {
    mkdirSync(join(stateFolder, "rewind/state"), { recursive: true });
    writeFileSync(join(stateFolder, "rewind/state/of-an-earlier-run"), "");
    const { rewinds, moment, folder, end } = await make();
    const outcome = await rewinds.prepare(moment);
    expect(outcome).toMatchObject({
      kind: "done",
      done: { id: "id-1", validMs: 600_000, plan: { undone: { flushes: 1 } } },
    });
    expect(readdirSync(join(folder, "state"))).toEqual(["a.db"]);
    expect(await rewinds.plan(moment)).toMatchObject({ kind: "done", done: { end: { position: end } } });
    expect(rewinds.take("id-2")).toBeUndefined();
    expect(rewinds.take("id-1")?.plan.to.position).toBe(moment.position);
    expect(rewinds.take("id-1")).toBeUndefined();
    expect(existsSync(join(folder, "state"))).toBe(true);
    await rewinds.over();
    expect(existsSync(join(folder, "state"))).toBe(false);
  });

  test("is removed after ten minutes, when another is prepared, and when the host ends", async () => {
    const { rewinds, clock, moment, folder } = await make();
    await rewinds.prepare(moment);
    await rewinds.prepare(moment);
    expect(rewinds.take("id-1")).toBeUndefined();
    expect(clock.timers).toBe(1);
    clock.advance(599_999);
    expect(existsSync(join(folder, "state"))).toBe(true);
    clock.advance(1);
    expect(rewinds.take("id-2")).toBeUndefined();
    await rewinds.prepare(moment);
    await rewinds.close("the host ends");
    expect(rewinds.take("id-3")).toBeUndefined();
    expect([clock.timers, existsSync(join(folder, "state"))]).toEqual([0, false]);
  });

  test("is one at a time, of a primary, and ends with the host", async () => {
    const waiting = Promise.withResolvers<void>();
    const disk = { free: () => waiting.promise.then(() => 1e12), device: () => Promise.resolve(1) };
    const { rewinds, moment, folder } = await make({ ports: { stateFolder, disk } });
    const first = rewinds.prepare(moment);
    expect(await rewinds.prepare(moment)).toMatchObject({
      refusal: { kind: "not_ready", reason: "a rewind is being prepared already; wait for its end" },
    });
    const closed = rewinds.close("this host ends");
    waiting.resolve();
    expect(await first).toEqual({ kind: "refused", refusal: { kind: "not_ready", reason: "this host ends" } });
    await closed;
    expect(existsSync(join(folder, "state"))).toBe(false);
    const { rewinds: ofSecondary } = await make({ role: () => "secondary" });
    expect(await ofSecondary.prepare(moment)).toMatchObject({
      refusal: { reason: "only a primary prepares a rewind; this host is secondary" },
    });
    const { rewinds: withoutFolder } = await make({ ports: undefined });
    expect(await withoutFolder.prepare(moment)).toMatchObject({
      refusal: { reason: "this host has no folder to prepare a rewind in" },
    });
  });

  test("is refused with the reason for which it cannot be prepared, and another may be", async () => {
    let obstacle: string | undefined = "b.db is not listed";
    const { rewinds, moment, end } = await make({ obstacleTo: () => obstacle });
    expect(await rewinds.plan({ kind: "position", position: end })).toMatchObject({ kind: "refused" });
    expect(await rewinds.prepare(moment)).toMatchObject({
      refusal: { reason: expect.stringContaining("b.db is not listed") },
    });
    obstacle = undefined;
    expect(await rewinds.prepare(moment)).toMatchObject({ kind: "done" });
    await rewinds.close("over");
  });
});
