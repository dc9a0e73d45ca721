/**
 * hasty-writer.py in TypeScript, with Bun's SQLite. `refused`: how often it was kept out, however many tries that took.
 */
import { Database } from "bun:sqlite";

const [path = "", commits = "0"] = process.argv.slice(2);
const database = new Database(path);
database.run("PRAGMA busy_timeout=0");
database.run("PRAGMA synchronous=NORMAL");
database.run("PRAGMA wal_autocheckpoint=0");
const insert = database.prepare("INSERT OR REPLACE INTO t(id, v) VALUES (?, randomblob(3000))");
let [done, refused, wasRefused] = [0, 0, false];
while (done < Number(commits)) {
  try {
    insert.run(done % 200);
    [done, wasRefused] = [done + 1, false];
  } catch (error) {
    if (!String(error).includes("locked")) throw error;
    if (!wasRefused) refused += 1;
    wasRefused = true;
  }
}
console.log(JSON.stringify({ done, refused }));
