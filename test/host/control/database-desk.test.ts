import { describe, expect, test } from "bun:test";
import { DatabaseDesk } from "../../../src/host/control/database-desk.ts";
import { Exclusions } from "../../../src/host/ports/exclusions.ts";
import type { CaptureSource } from "../../../src/host/ports/ports.ts";
import { formatDatabases } from "../../../src/cli/commands/databases.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";

const held = { name: "sealed.db", reason: "sealed.db: found no header. Do this.", advice: "Do this.", sinceMs: 0 };

/** A primary that captures app.db and cannot capture sealed.db, or a host without a term. */
function deskOf(isPrimary: boolean): DatabaseDesk {
  const source = { names: () => ["app.db"], uncaptured: () => [held], leftOut: () => [] } as unknown as CaptureSource;
  return new DatabaseDesk({
    exclusions: new Exclusions({ store: new MemoryStore(), host: "a", clock: systemClock }),
    clock: systemClock,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    warnings: { warn: () => undefined, over: () => undefined },
    source: () => (isPrimary ? source : undefined),
    followed: () => ["app.db"],
    position: () => 7,
  });
}

const reasonOf = async (outcome: ReturnType<DatabaseDesk["exclude"]>): Promise<string> => JSON.stringify(await outcome);

describe("an operator excludes", () => {
  test("what cannot be captured, and what is captured only with force", async () => {
    expect(await deskOf(true).exclude({ name: "sealed.db" })).toMatchObject({ kind: "done" });
    expect(await reasonOf(deskOf(true).exclude({ name: "app.db" }))).toContain("app.db is captured");
    expect(await deskOf(true).exclude({ name: "app.db", force: true })).toMatchObject({ kind: "done" });
  });

  test("a name that is misspelt only with force: it would release nothing", async () => {
    expect(await reasonOf(deskOf(true).exclude({ name: "seeled.db" }))).toContain(
      "there is no database seeled.db here; not captured are: sealed.db; with --force",
    );
    expect(await deskOf(true).exclude({ name: "seeled.db", force: true })).toMatchObject({ kind: "done" });
  });

  test("any other name where no primary sees the files: its file may be what keeps hosts from being primary", async () => {
    expect(await deskOf(false).exclude({ name: "sealed.db" })).toMatchObject({ kind: "done" });
  });

  test("and includes again what is excluded, and nothing else", async () => {
    const desk = deskOf(true);
    await desk.exclude({ name: "sealed.db" });
    expect(await reasonOf(desk.include({ name: "seeled.db" }))).toContain(
      "seeled.db is not excluded; excluded are: sealed.db",
    );
    expect(await desk.include({ name: "sealed.db" })).toMatchObject({ kind: "done" });
  });
});

test("the table of databases keeps to the width of a terminal, and its sentences end", async () => {
  const desk = deskOf(true);
  await desk.exclude({ name: "sealed.db" });
  const text = formatDatabases({ service: "s", host: "a", ...desk.list() });
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(text.replaceAll(/\s+/g, " ")).toContain("after a failover. `stead databases include sealed.db`");
});
