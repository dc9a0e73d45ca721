/**
 * The application of bench:giant. `POST /giant?mebibytes=N` writes N MiB in one transaction, in a thread of its own,
 * and answers with the times; `POST /note` inserts a row into another database meanwhile.
 */
import { Database } from "bun:sqlite";
import { randomFillSync } from "node:crypto";
import { join } from "node:path";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

const folder = process.env["DATA_DIR"] ?? ".";
const mebibyte = 2 ** 20;

function open(name: string): Database {
  const database = new Database(join(folder, name), { create: true });
  database.run("PRAGMA busy_timeout=60000");
  database.run("PRAGMA journal_mode=WAL");
  database.run("PRAGMA synchronous=NORMAL");
  database.run("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v)");
  return database;
}

/** When its commit returned, milliseconds since 1970, and how long it took. */
interface Done {
  readonly committedAt: number;
  readonly transactionMs: number;
}

function writeGiant(database: Database, mebibytes: number): Done {
  const started = performance.now();
  const insert = database.prepare("INSERT INTO t(v) VALUES (?)");
  const content = randomFillSync(new Uint8Array(mebibyte));
  database.run("BEGIN IMMEDIATE");
  for (let i = 0; i < mebibytes; i += 1) {
    new DataView(content.buffer).setUint32(0, i);
    insert.run(content);
  }
  database.run("COMMIT");
  return { committedAt: Date.now(), transactionMs: performance.now() - started };
}

function serve(): void {
  const notes = open("notes.db");
  open("giant.db").close();
  const worker = new Worker(import.meta.filename);
  const giant = (mebibytes: number): Promise<Done> =>
    new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.postMessage(mebibytes);
    });
  Bun.serve({
    hostname: "127.0.0.1",
    port: Number(process.env["PORT"]),
    idleTimeout: 0,
    async fetch(request) {
      const url = new URL(request.url);
      if (url.pathname === "/giant") return Response.json(await giant(Number(url.searchParams.get("mebibytes"))));
      if (url.pathname === "/note") notes.run("INSERT INTO t(v) VALUES ('note')");
      return Response.json({}, { status: request.method === "POST" ? 201 : 200 });
    },
  });
}

if (isMainThread) serve();
else {
  const database = open("giant.db");
  parentPort?.on("message", (mebibytes: number) => parentPort?.postMessage(writeGiant(database, mebibytes)));
}
