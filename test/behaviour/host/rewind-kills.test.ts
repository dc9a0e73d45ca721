/**
 * A primary that dies in a rewind, before and after each put: the state is the old one or the new one, never a part of
 * both, and which of them, the log says.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allRules } from "../../../src/core/rules.ts";
import { Journal } from "../../../src/host/primary/journal.ts";
import { PreparedRewind } from "../../../src/host/primary/prepared-rewind.ts";
import { restoreMoment } from "../../../src/host/secondary/point-in-time.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { rewoundOf } from "../../../src/vault/log/rewound-section.ts";
import { ForwardingStore } from "../../../src/vault/store/forwarding-store.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import type { PutOutcome } from "../../../src/vault/store/store.ts";
import { FakeSource } from "../../support/host/fake-source.ts";
import { claimAs, logIn, Pages, readerFromStart, zeros } from "../../support/host/log-fixture.ts";

setDefaultTimeout(60_000);

/** From the end of `lives` puts on none is answered; the one in which its writer dies may be in the vault or not. */
class MortalStore extends ForwardingStore {
  lives = Number.POSITIVE_INFINITY;
  isLastKept = false;
  readonly died = Promise.withResolvers<void>();

  override async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    this.lives -= 1;
    if (this.lives >= 0) return super.putIfAbsent(key, bytes);
    if (this.lives === -1 && this.isLastKept) await super.putIfAbsent(key, bytes);
    this.died.resolve();
    return new Promise(() => undefined);
  }
}

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "stead-rewind-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Two records. */
const pageCount = 8_400;
const all = (fill: number) => Object.fromEntries(Array.from({ length: pageCount }, (_, at) => [at + 1, fill]));

/** Rewinds, and dies in the put after so many. Returns what is in the vault then. */
async function dieAfter(lives: number, isLastKept: boolean) {
  const vault = new MemoryStore();
  const pages = new Pages("a.db");
  pages.change(all(1));
  const at = { epoch: 0, epochPosition: 0, wallTimeMs: 0 };
  await writeCheckpoint({ store: vault, position: 0, hash: zeros, ...at, databases: [pages.snapshot()] });
  const earlier = Buffer.from(pages.checksum()).toString("hex");
  const store = new MortalStore(vault);
  const writer = await claimAs(store, "a", { format: 2 });
  const to = writer.position;
  await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change(all(2))] });
  const later = Buffer.from(pages.checksum()).toString("hex");
  const prepared = await PreparedRewind.prepare({
    ...{ store: vault, log: logIn(vault), clock: systemClock, moment: { kind: "position", position: to } },
    ...{ keptForMs: 0, obstacleTo: () => undefined, folder: join(root, "prepared"), onWarning: () => undefined },
  });
  const journal = new Journal({
    ...{ writer, clock: systemClock, rules: allRules, leaseMs: 60_000, durability: { kind: "strict" } },
    onEnd: () => undefined,
    onRecord: () => undefined,
  });
  journal.attach(new FakeSource());
  store.lives = lives;
  store.isLastKept = isLastKept;
  const rewinding = journal
    .rewind((end) => prepared.flush(end, () => Promise.reject(new Error("no files")), new AbortController().signal))
    .then(() => journal.vacate("rewind", undefined));
  rewinding.catch(() => undefined);
  const isDead = await Promise.race([store.died.promise.then(() => true), rewinding.then(() => false)]);
  await prepared.close();

  // The next primary claims, and writes.
  const next = await claimAs(vault, "b");
  const folder = join(root, `after-${lives}-${isLastKept}`);
  const moment = { kind: "newest" } as const;
  const { databases } = await restoreMoment({
    store: vault,
    log: logIn(vault),
    moment,
    folder,
    onWarning: () => undefined,
  });
  const reader = readerFromStart(vault);
  let parts = 0;
  let wanted = 0;
  while (reader.position < next.position) {
    const record = await reader.next();
    if (record?.body.kind === "commit" && record.header.position > to + 1) {
      parts += 1;
      wanted = record.body.parts;
      if (record.body.part === 1) expect(rewoundOf(record.sections)).toMatchObject({ to, undoneTo: to + 1 });
    }
  }
  rmSync(folder, { recursive: true });
  return {
    isDead,
    parts,
    wanted,
    isEarlier: databases[0]?.checksum === earlier,
    isLater: databases[0]?.checksum === later,
  };
}

test("leaves the old state until the last part of its flush is durable, and the new one from then on", async () => {
  const seen: boolean[] = [];
  for (let lives = 0; ; lives += 1) {
    for (const isLastKept of [false, true]) {
      const { isDead, parts, wanted, isEarlier, isLater } = await dieAfter(lives, isLastKept);
      const isWhole = parts > 0 && parts === wanted;
      expect({ lives, isLastKept, isEarlier, isLater }).toEqual({
        lives,
        isLastKept,
        isEarlier: isWhole,
        isLater: !isWhole,
      });
      seen.push(isEarlier);
      if (isDead) continue;
      // Two parts and the vacate, each with its writer's death before and after it.
      expect(lives).toBe(3);
      expect(seen).toEqual([false, false, false, true, true, true, true]);
      return;
    }
  }
});
