/** A child process that runs SQL for a test: the application. One JSON request per line in, one answer per line out. */
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";

interface Request {
  readonly connection: string;
  readonly path?: string;
  readonly sql?: string;
  readonly image?: boolean;
  readonly close?: boolean;
}

const connections = new Map<string, DatabaseSync>();

function answer({ connection, path, sql, image, close }: Request): unknown {
  if (path !== undefined) {
    const opened = new DatabaseSync(path);
    opened.exec("PRAGMA busy_timeout=10000");
    connections.set(connection, opened);
    return null;
  }
  const database = connections.get(connection);
  if (database === undefined) throw new Error(`no connection ${connection}`);
  if (image === true) {
    const { serialize } = database as unknown as { serialize(): Uint8Array };
    const bytes = serialize.call(database);
    return { bytes: bytes.byteLength, sha256: createHash("sha256").update(bytes).digest("hex") };
  }
  if (close === true) {
    connections.delete(connection);
    database.close();
    return null;
  }
  let rows: unknown[] = [];
  for (const statement of (sql ?? "").split(";")) {
    if (statement.trim() !== "") rows = database.prepare(statement).all();
  }
  return rows;
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify({ ok: answer(JSON.parse(line) as Request) }));
  } catch (error) {
    console.log(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
  }
}
