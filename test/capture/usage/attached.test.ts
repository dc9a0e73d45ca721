/**
 * Transactions over several ATTACHed databases: SQLite commits their logs one after the other, a flush has all of them
 * or none.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "bun:test";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { Pair } from "../../support/capture/pair.ts";
import { begin } from "./parts.ts";

const looksMin = 200;

/** Adds one to both databases in one transaction, again and again, with a pause in between or none. */
const writer = `
import sqlite3, sys, time
root, kind, pause = sys.argv[1:]
c = sqlite3.connect(root + "/a.db", isolation_level=None, timeout=60)
c.execute("ATTACH ? AS b", (root + "/b.db",))
for db in ("main", "b"):
    c.execute(f"PRAGMA {db}.journal_mode=WAL"); c.execute(f"PRAGMA {db}.synchronous={kind}"); c.execute(f"CREATE TABLE IF NOT EXISTS {db}.t(n)")
    if c.execute(f"SELECT count(*) FROM {db}.t").fetchone()[0] == 0: c.execute(f"INSERT INTO {db}.t VALUES (0)")
print("ready", flush=True)
sys.stdin.readline()
while True:
    c.execute("BEGIN IMMEDIATE"); c.execute("UPDATE main.t SET n=n+1"); c.execute("UPDATE b.t SET n=n+1"); c.execute("COMMIT")
    if float(pause) > 0: time.sleep(float(pause))
`;

// With pauses: a writer without any may keep a cut waiting for longer than the bound on a busy machine
// (docs/CAPTURE.md).
for (const [kind, pause] of [
  ["NORMAL", 0.001],
  ["FULL", 0.003],
] as const) {
  test.skipIf(process.platform !== "linux")(
    `no flush has half of a transaction over two databases, whenever it is taken (synchronous=${kind})`,
    async () => {
      await using it = await begin();
      const child = spawn("python3", ["-c", writer, it.root, kind, String(pause)], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      try {
        await once(child.stdout, "data");
        await using pair = await Pair.open(it.folder);
        child.stdin.write("go\n");
        let [looks, halves, flushes] = [0, 0, 0];
        while (looks < looksMin) {
          await new Promise(setImmediate);
          if ((await pair.sync()) === 0) continue;
          flushes += 1;
          const [a, b] = ["a", "b"].map((name) => valueOf(join(pair.copy, `${name}.db`)));
          looks += 1;
          if (a !== b) halves += 1;
        }
        expect([halves, flushes]).toEqual([0, looks]);
        child.kill("SIGKILL");
        await once(child, "exit");
      } finally {
        child.kill("SIGKILL");
      }
    },
  );
}

/** Of a file that a replica wrote, read as it is. */
function valueOf(path: string): unknown {
  const database = new DatabaseSync(`file:${path}?immutable=1`, { readOnly: true });
  try {
    return database.prepare("SELECT n FROM t").get()?.["n"];
  } finally {
    database.close();
  }
}
