import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RestoreTestResult } from "../../../src/control/restore-test.ts";
import { RestoreTestResults } from "../../../src/gateway/service/restore-test-results.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-restore-test-results-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const failed: RestoreTestResult = {
  ...{ outcome: "failed", atMs: 1_000, tookMs: 50, position: null, bytes: null, detail: "a chunk is damaged" },
};

test("a result is a row and an event once, and one that is long over is a row alone", async () => {
  const clock = new ManualClock();
  const store = new StateStore({ disk: fileDisk(join(folder, "g.db")), gateway: "g1", clock, random: systemRandom });
  await store.open();
  const events: unknown[] = [];
  const recorder = { recordEvent: (...event: unknown[]) => void events.push(event) };
  const results = new RestoreTestResults({ service: "notes", clock, store, recorder });
  results.heard("b", failed);
  results.heard("b", failed);
  const once = ["error", "restore-test-failed", "b", "a chunk is damaged", "restore-test.notes.b.1000"];
  expect(events).toEqual([once]);
  clock.advance(3_600_000);
  results.heard("c", { ...failed, outcome: "passed", detail: null });
  expect(events).toEqual([once]);
  const rows = [...store.replica.rowsOf("restoreTests")];
  expect(rows.map(({ key }) => key).sort()).toEqual(["notes.b.1000", "notes.c.1000"]);
  await store.close();
});
