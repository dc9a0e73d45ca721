/**
 * Mutants about files beside the databases, each attacked on the real parts, with what is not simulated. Those of
 * capture: a real folder, and the kernel's own notifications. An application writes a file and commits a row that
 * refers to it, or commits the row's deletion and removes the file; a flush must have both or none. And two about what
 * others have put there: a chunk of this name in the vault, and a link in place of a folder.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileCapture } from "../../src/capture/files/file-capture.ts";
import { fileMatcher } from "../../src/core/files/file-pattern.ts";
import type { Rules } from "../../src/core/rules.ts";
import { FileTree } from "../../src/core/files/file-tree.ts";
import { FileReplica } from "../../src/host/secondary/files/file-replica.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import { noCompression } from "../../src/vault/checkpoint/chunk-codec.ts";
import { putFileChunk } from "../../src/vault/checkpoint/file-chunks.ts";
import { MemoryStore } from "../../src/vault/store/memory-store.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { putOf } from "../support/vault/files-fixture.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

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

/** The vault has other bytes under the name of a content, which the next flush is to name. */
export async function attackExistingChunk(rules: Rules): Promise<string | undefined> {
  const content = Buffer.from("a content");
  const ports = { position: 1, compression: noCompression, clock: systemClock, random: new SeededRandom(1), rules };
  const key = await putFileChunk({ ...ports, store: new MemoryStore() }, content);
  const store = new MemoryStore();
  await store.putIfAbsent(key, Buffer.from("other bytes"));
  const named = await putFileChunk({ ...ports, store }, content).catch(() => undefined);
  return named === undefined ? undefined : "a flush names a chunk that has another content";
}

/** On the way to a file of the journal there is a link that leads out of the data folder. */
export async function attackLink(rules: Rules): Promise<string | undefined> {
  using folder = temporaryFolder();
  const [root, outside] = [join(folder.path, "data"), join(folder.path, "outside")];
  for (const path of [root, outside]) mkdirSync(path);
  symlinkSync(outside, join(root, "uploads"));
  const fetch = (): Promise<never> => Promise.reject(new Error("it is nowhere"));
  const replica = new FileReplica({ root, matcher, fetch, user: { kind: "host" }, isFresh: true, rules });
  const changes = [putOf("uploads/new", "the journal's")];
  const tree = new FileTree(sha256);
  tree.apply(changes, 1);
  try {
    await replica.prepare({ changes, checksum: tree.checksum }, 1);
    await replica.commit();
  } catch {
    // It refuses.
  }
  return existsSync(join(outside, "new")) ? "a file of the journal is written where a link leads" : undefined;
}
