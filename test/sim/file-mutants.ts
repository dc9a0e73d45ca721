/**
 * Mutants about files beside the databases, each attacked on the real capture: a real folder, and the kernel's own
 * notifications, which are not simulated. An application writes a file and commits a row that refers to it, or commits
 * the row's deletion and removes the file; a flush must have both or none.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileCapture } from "../../src/capture/files/file-capture.ts";
import { fileMatcher } from "../../src/core/files/file-pattern.ts";
import type { Rules } from "../../src/core/rules.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const matcher = fileMatcher({ files: ["uploads/**"], except: [], databases: ["*.db"], reserved: [] });

interface Stage {
  readonly capture: FileCapture;
  path(name: string): string;
  has(name: string): boolean;
}

/** `attack` says what went wrong; undefined: nothing. */
async function onStage(
  rules: Rules,
  attack: (stage: Stage) => Promise<string | undefined>,
): Promise<string | undefined> {
  const root = mkdtempSync(join(tmpdir(), "stead-file-mutant-"));
  mkdirSync(join(root, "uploads"));
  writeFileSync(join(root, "uploads/old"), "with a row");
  const capture = await FileCapture.open({
    ...{
      root,
      matcher,
      rules,
      begin: { kind: "bootstrap" },
      user: { kind: "root" },
      clock: systemClock,
      over: "warn",
      patienceMs: 10_000,
    },
    bounds: { filesMax: 1000, bytesMax: 1 << 30, fileBytesMax: 1 << 20, bytesPerSecondMax: 1 << 30 },
    fetch: () => Promise.reject(new Error("it is nowhere")),
    onWarning: () => undefined,
  });
  const path = (name: string): string => join(root, "uploads", name);
  const has = (name: string): boolean => capture.snapshot().tree.get(`uploads/${name}`) !== undefined;
  try {
    return await attack({ capture, path, has });
  } finally {
    capture.close();
    rmSync(root, { recursive: true, force: true });
  }
}

/** The file is written, and its row committed, while the flush that has the row is being collected. */
export const attackLateRow = (rules: Rules): Promise<string | undefined> =>
  onStage(rules, async ({ capture, path, has }) => {
    capture.begin();
    writeFileSync(path("new"), "the row follows");
    // The row is committed, and the cut taken with it; others commit on.
    await capture.settle(() => true);
    capture.take();
    return has("new") ? undefined : "a flush has a row without its file";
  });

/** The row's deletion is committed, and the file removed, after the cut. */
export const attackEarlyRemoval = (rules: Rules): Promise<string | undefined> =>
  onStage(rules, async ({ capture, path, has }) => {
    capture.begin();
    // The cut is here, with the row.
    rmSync(path("old"));
    await capture.settle(() => true);
    capture.take();
    return has("old") ? undefined : "a flush has a row whose file is removed already";
  });

export const attackOverflow = (rules: Rules): Promise<string | undefined> =>
  onStage(rules, async ({ capture, path, has }) => {
    const max = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
    for (let at = 0; at <= max; at++) writeFileSync(path(`busy-${at % 2}`), "x");
    writeFileSync(path("late"), "after the overflow");
    const isAhead = capture.isAhead();
    capture.begin();
    await capture.settle(() => false);
    capture.take();
    return isAhead && has("late") ? undefined : "a file that was written after the queue had overflowed is missing";
  });

export const attackRename = (rules: Rules): Promise<string | undefined> =>
  onStage(rules, async ({ capture, path, has }) => {
    renameSync(path("old"), path("renamed"));
    capture.begin();
    await capture.settle(() => false);
    capture.take();
    const names = ["old", "renamed"].filter(has);
    return names.length === 1 && names[0] === "renamed"
      ? undefined
      : `of a renamed file a flush has ${names.join(" and ") || "no name"}`;
  });
