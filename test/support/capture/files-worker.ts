/**
 * An application for a test: files with a row each. A file is written, and its row committed then; a deletion is
 * committed, and its file removed then. `FOLDER SEED OPERATIONS`; prints "done" at the end.
 */
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SeededRandom } from "../../../harness/seeded-random.ts";

const [folder = "", seed = "1", operations = "100"] = process.argv.slice(2);
const random = new SeededRandom(Number(seed));
const database = new DatabaseSync(join(folder, "app.db"));
database.exec("PRAGMA busy_timeout=10000; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF");
database.exec("CREATE TABLE IF NOT EXISTS uploads (id INTEGER PRIMARY KEY, path TEXT NOT NULL, hash TEXT NOT NULL)");
const uploads = join(folder, "uploads");
mkdirSync(join(uploads, "moved"), { recursive: true });
const insert = database.prepare("INSERT INTO uploads (path, hash) VALUES (?, ?)");
const move = database.prepare("UPDATE uploads SET path = ? WHERE id = ?");
const remove = database.prepare("DELETE FROM uploads WHERE id = ?");
const paths = new Map<number, string>();
const pause = new Int32Array(new SharedArrayBuffer(4));

for (let nth = 0; nth < Number(operations); nth++) {
  // A client that waits for its answers.
  Atomics.wait(pause, 0, 0, 1);
  const ids = [...paths.keys()];
  const id = ids[random.below(Math.max(1, ids.length))];
  const draw = random.below(10);
  if (id === undefined || draw < 5) {
    const bytes = Buffer.alloc(1 + random.below(20_000), `${process.pid} ${nth} `);
    const path = `${process.pid}-${nth}`;
    writeFileSync(join(uploads, `.${path}`), bytes);
    renameSync(join(uploads, `.${path}`), join(uploads, path));
    const row = insert.run(path, createHash("sha256").update(bytes).digest("hex"));
    paths.set(Number(row.lastInsertRowid), path);
  } else if (draw < 7) {
    const path = `moved/${process.pid}-${nth}`;
    linkSync(join(uploads, paths.get(id) ?? ""), join(uploads, path));
    move.run(path, id);
    unlinkSync(join(uploads, paths.get(id) ?? ""));
    paths.set(id, path);
  } else {
    remove.run(id);
    unlinkSync(join(uploads, paths.get(id) ?? ""));
    paths.delete(id);
  }
}
console.log("done");
process.exit(0);
