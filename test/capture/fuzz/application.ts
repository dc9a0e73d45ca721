/** The same process as application.py, with Bun's SQLite: connections only. */
import { constants, Database } from "bun:sqlite";
import { createInterface } from "node:readline";

type Request =
  | {
      readonly what: "open";
      readonly connection: string;
      readonly path: string;
      readonly query: string;
      readonly busy_ms: number;
      readonly pragmas: readonly string[];
      readonly tables: readonly string[];
    }
  | { readonly what: "sql"; readonly connection: string; readonly statements: readonly string[] }
  | { readonly what: "ids" | "close"; readonly connection: string };

const connections = new Map<string, Database>();
const { SQLITE_OPEN_READWRITE, SQLITE_OPEN_CREATE, SQLITE_OPEN_URI } = constants;

function answer(request: Request): unknown {
  if (request.what === "open") return open(request);
  const database = connections.get(request.connection);
  if (database === undefined) throw new Error("no such connection");
  switch (request.what) {
    case "sql":
      return runAll(database, request.statements);
    case "ids":
      return database.query("SELECT 1 FROM sqlite_master WHERE name='t'").all().length === 0
        ? []
        : database
            .query<{ id: number }, []>("SELECT id FROM t")
            .all()
            .map(({ id }) => id);
    case "close":
      connections.delete(request.connection);
      database.close();
      return null;
  }
}

function open({ connection, path, query, busy_ms, pragmas, tables }: Extract<Request, { what: "open" }>): string[] {
  const database = new Database(`file:${path}${query}`, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI);
  database.run(`PRAGMA busy_timeout=${busy_ms}`);
  const failed: string[] = [];
  for (const pragma of pragmas) {
    try {
      database.query(pragma).all();
    } catch (error) {
      failed.push(`${pragma}: ${String(error)}`);
    }
  }
  connections.set(connection, database);
  runAll(database, tables);
  return failed;
}

function runAll(database: Database, statements: readonly string[]): unknown[] {
  let rows: unknown[] = [];
  for (const statement of statements) rows = database.prepare(statement).all();
  return rows;
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify({ ok: answer(JSON.parse(line) as Request) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
