import { describe, expect, test } from "bun:test";
import type { FileNews, OnFileNews } from "../../../src/capture/files/file-events.ts";
import { type PendingPath, PendingPaths } from "../../../src/capture/files/pending-paths.ts";
import { fileMatcher } from "../../../src/core/files/file-pattern.ts";
import { allRules } from "../../../src/core/rules.ts";

const matcher = fileMatcher({ files: ["uploads/**"], except: [], databases: ["*.db"], reserved: [] });

/** The kernel's queue. */
class Queue {
  readonly told: (readonly [path: string, news: FileNews, isAstray?: "astray"])[] = [];
  isOverflown = false;

  hear(onNews: OnFileNews): boolean {
    for (const [path, news, isAstray] of this.told.splice(0)) onNews(path, news, isAstray === undefined);
    const wasOverflown = this.isOverflown;
    this.isOverflown = false;
    return wasOverflown;
  }
}

function make(): { queue: Queue; pending: PendingPaths } {
  const queue = new Queue();
  return { queue, pending: new PendingPaths(queue, matcher, allRules) };
}

const written: PendingPath = { isWritten: true, isNew: false, removal: 0, isMovedAway: false, presence: "unknown" };

describe("pending paths", () => {
  test("are those of the service, with what was told of each until now", () => {
    const { queue, pending } = make();
    queue.told.push(["uploads/a", "written"], ["app.db", "written"], ["uploads/b", "gone"], ["uploads/b", "appeared"]);
    expect(pending.isAny).toBe(false);
    pending.hear();
    expect([...pending.take()]).toEqual([
      ["uploads/a", written],
      ["uploads/b", { isWritten: true, isNew: true, removal: 1, isMovedAway: false, presence: "unknown" }],
    ]);
    expect(pending.isAny).toBe(false);
  });

  test("number removals in the order of the queue, and know a rename by the last one", () => {
    const { queue, pending } = make();
    queue.told.push(["uploads/a", "moved-away"], ["uploads/b", "moved-here"], ["uploads/b", "gone"]);
    pending.hear();
    expect(pending.removals).toBe(2);
    expect([...pending.take()]).toEqual([
      ["uploads/a", { isWritten: false, isNew: false, removal: 1, isMovedAway: true, presence: "surely-gone" }],
      ["uploads/b", { isWritten: false, isNew: true, removal: 2, isMovedAway: false, presence: "moved-here" }],
    ]);
    expect(pending.countRemoval()).toBe(3);
    expect(pending.removals).toBe(3);
  });

  test("are surely gone if a removal was told last, in a folder whose name is certain, and nothing was moved there", () => {
    const { queue, pending } = make();
    const news: Readonly<Record<string, readonly FileNews[]>> = {
      draft: ["appeared", "written", "moved-away"],
      again: ["gone", "appeared"],
      written: ["gone", "written"],
      // As the second name of two that are exchanged.
      exchanged: ["appeared", "moved-here", "moved-away"],
    };
    for (const [name, each] of Object.entries(news)) for (const one of each) queue.told.push([`uploads/${name}`, one]);
    queue.told.push(["uploads/old/astray", "gone", "astray"], ["uploads/later", "gone"], ["uploads/doubted", "gone"]);
    pending.hear();
    pending.noteNew("uploads/later", true);
    pending.note("uploads/doubted");
    const told = pending.take();
    expect(
      Object.fromEntries([...told].map(([path, { presence }]) => [path.slice("uploads/".length), presence])),
    ).toEqual({
      ...{ draft: "surely-gone", again: "unknown", written: "unknown", exchanged: "moved-here" },
      ...{ "old/astray": "unknown", later: "unknown", doubted: "unknown" },
    });
    // Given back, it is as it was, unless something is told of it since.
    const draft = told.get("uploads/draft") ?? written;
    pending.giveBack("uploads/draft", draft);
    expect(pending.take().get("uploads/draft")?.presence).toBe("surely-gone");
    pending.note("uploads/draft");
    pending.giveBack("uploads/draft", draft);
    expect(pending.take().get("uploads/draft")?.presence).toBe("unknown");
  });

  test("say once that events were lost", () => {
    const { queue, pending } = make();
    queue.isOverflown = true;
    pending.hear();
    expect([pending.isAny, pending.takeDoubt(), pending.takeDoubt(), pending.isAny]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  test("that a look has found gone have the removal that is in the queue", () => {
    const { queue, pending } = make();
    queue.told.push(["uploads/b", "gone"], ["uploads/a", "moved-away"]);
    expect(pending.noteVanished("uploads/a", written)).toEqual({
      ...{ isWritten: true, isNew: false, removal: 2, isMovedAway: true, presence: "surely-gone" },
    });
    expect(pending.removals).toBe(2);
  });

  test("that a look has found gone, and of which nothing is told, count as removed last", () => {
    const { queue, pending } = make();
    queue.told.push(["uploads/b", "gone"]);
    const told = { ...written, isNew: true };
    expect(pending.noteVanished("uploads/a", told)).toEqual({ ...told, removal: 2 });
    expect([...pending.take().keys()]).toEqual(["uploads/b", "uploads/a"]);
  });

  test("that are given back keep what was told since, and the later removal", () => {
    const { pending } = make();
    pending.noteGone("uploads/a");
    pending.giveBack("uploads/a", { isWritten: true, isNew: true, removal: 0, isMovedAway: true, presence: "unknown" });
    expect(pending.take().get("uploads/a")).toEqual({
      isWritten: true,
      isNew: true,
      removal: 1,
      isMovedAway: false,
      presence: "unknown",
    });
    pending.note("uploads/a");
    pending.giveBack("uploads/a", {
      isWritten: false,
      isNew: false,
      removal: 1,
      isMovedAway: true,
      presence: "unknown",
    });
    expect(pending.take().get("uploads/a")).toEqual({
      isWritten: true,
      isNew: false,
      removal: 1,
      isMovedAway: true,
      presence: "unknown",
    });
  });
});
