/**
 * One writer of the stress test, in TypeScript: `bun stress-writer.ts <database> <writer id> <seed> <mode>`.
 *
 * Prints `A <sequence>` after each commit of its own row (the acknowledgement), and `C <mode> <busy> <milliseconds>`
 * after each checkpoint of its own. Runs until it is killed. stress-writer.py is the same in Python.
 */
import { DatabaseSync } from "node:sqlite";

const [path = "", writer = "", seed = "1", mode = "passive"] = process.argv.slice(2);
let state = Number(seed) >>> 0;
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 0x1_0000_0000) * below);
};
const autocheckpoints = [1, 2, 5, 20, 100, 1000];
const heavy = ["FULL", "RESTART", "TRUNCATE"];

const database = new DatabaseSync(path);
database.exec("PRAGMA busy_timeout=30000; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=20");
database.exec(`PRAGMA wal_autocheckpoint=${autocheckpoints[random(autocheckpoints.length)]}`);
const insert = database.prepare("INSERT INTO acks(writer, sequence, content) VALUES (?, ?, randomblob(?))");
const churn = database.prepare("INSERT OR REPLACE INTO churn(id, content) VALUES (?, randomblob(?))");
const last = database.prepare("SELECT max(sequence) AS sequence FROM acks WHERE writer = ?").get(writer) as {
  sequence: number | null;
};
let sequence = (last.sequence ?? 0) + 1;

function spillAndRollBack(): void {
  database.exec("BEGIN IMMEDIATE");
  for (let i = 0; i < 60; i++) churn.run(random(500), 3000);
  database.exec("ROLLBACK");
}

function vacuum(): void {
  try {
    database.exec("DELETE FROM churn WHERE id % 2 = 0");
    database.exec("VACUUM");
  } catch (error) {
    if (!String(error).includes("locked")) throw error;
  }
}

function checkpoint(name: string): void {
  const started = performance.now();
  const row = database.prepare(`PRAGMA wal_checkpoint(${name})`).get() as { busy: number };
  console.log(`C ${name} ${row.busy} ${(performance.now() - started).toFixed(2)}`);
}

for (;;) {
  database.exec("BEGIN IMMEDIATE");
  insert.run(writer, sequence, random(3000));
  for (let i = random(8); i > 0; i--) churn.run(random(500), random(6000));
  database.exec("COMMIT");
  console.log(`A ${sequence}`);
  sequence += 1;
  const dice = random(100);
  if (dice < 2) spillAndRollBack();
  else if (dice < 3) vacuum();
  else if (dice < 8) checkpoint(mode === "heavy" ? (heavy[random(heavy.length)] ?? "FULL") : "PASSIVE");
}
