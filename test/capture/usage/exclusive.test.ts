/**
 * `locking_mode=EXCLUSIVE`: the WAL index is in the memory of one process, so no other process can read along. It is
 * refused with advice wherever it is met.
 */
import { expect, test } from "bun:test";
import { Pair } from "../../support/capture/pair.ts";
import { begin, refusal, refusedAtTheGate } from "./parts.ts";

test("on a database that exists: every write of the application is locked out, and capture ends with the process and the advice", async () => {
  await using it = await begin();
  await it.application.open("made", it.path);
  await it.application.run("made", "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await it.application.close("made");
  await using pair = await Pair.open(it.folder);
  await it.application.open("app", it.path);
  await it.application.run("app", "PRAGMA locking_mode=EXCLUSIVE");
  expect(it.application.run("app", "INSERT INTO t VALUES (1)")).rejects.toThrow("locked");
  // Its shared lock stays, since the mode keeps what it has: the audit finds it, whatever is asked.
  const error = await refusal(async () => {
    for (;;) {
      await pair.source.tick();
      if (pair.source.isAhead()) await pair.sync();
    }
  });
  expect(error.kind).toBe("uncoordinated");
  expect(error.message).toContain(`${it.application.pid} (python3)`);
  expect(error.advice).toContain("Remove PRAGMA locking_mode=EXCLUSIVE");
});

test("on a database that the application puts into this mode: responses are held, the process and the mode are named, and it is captured when the mode is left", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 60_000 } });
  await it.application.open("app", it.path);
  await it.application.run(
    "app",
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)",
  );
  while (pair.source.uncaptured()[0]?.reason.includes("as locking_mode=EXCLUSIVE makes it") !== true) await pair.sync();
  expect(pair.source.uncaptured()[0]?.reason).toContain(`locked for good by ${it.application.pid} (python3)`);
  expect(pair.source.isAhead()).toBe(true);
  await it.application.close("app");
  await it.application.open("app", it.path);
  await it.application.run("app", "INSERT INTO t VALUES (2)");
  await pair.settle();
  expect(pair.source.names()).toEqual(["app.db"]);
});

test("on a database that stays in this mode: capture ends after the patience, with the same message", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 1_500 } });
  await it.application.open("app", it.path);
  await it.application.run("app", "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  const error = await refusedAtTheGate(pair);
  expect([error.kind, error.advice]).toEqual([
    "exclusive",
    "Remove PRAGMA locking_mode=EXCLUSIVE from the application; journal_mode=WAL with it does not help.",
  ]);
});

test("on a database during a long import: capture waits, since an import ends", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 60_000 } });
  await it.application.open("app", it.path);
  await it.application.run("app", "CREATE TABLE t(v); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
  while (pair.source.uncaptured()[0]?.reason.includes("stays locked by") !== true) await pair.sync();
  expect(pair.source.uncaptured()[0]?.advice).toContain("The host waits for a long first transaction");
  await it.application.run("app", "COMMIT");
  await pair.settle();
});
