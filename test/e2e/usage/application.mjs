// An application in JavaScript for tests of usage, under Node or Bun, with the SQLite library that its arguments name: <library> [<module>].
// PORT and DATA_DIR are all else it gets. POST runs a JSON list of actions (engines.ts) and answers with the rows of the last; an error is 500.
import { readdirSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const [, , library, module = library] = process.argv;
const data = process.env.DATA_DIR;

const openers = {
  "node:sqlite": async (path, query) => new (await import("node:sqlite")).DatabaseSync(`file:${path}${query}`),
  "better-sqlite3": async (path) => new (await import(module)).default(path),
  libsql: async (path) => new (await import(module)).default(path),
  "bun:sqlite": async (path, query) => {
    const { constants, Database } = await import("bun:sqlite");
    return new Database(`file:${path}${query}`, constants.SQLITE_OPEN_READWRITE | constants.SQLITE_OPEN_CREATE | constants.SQLITE_OPEN_URI);
  },
  "@tursodatabase/database": async (path) => (await import(module)).connect(path, { experimental: ["multiprocess_wal"] }),
};

let database;

async function act({ open, query = "", exec, all, rename, clear }) {
  if (open !== undefined) database = await openers[library](join(data, open), query);
  else if (exec !== undefined) await database.exec(exec);
  else if (all !== undefined) return (await (await database.prepare(all)).all()).map((row) => Object.values(row)[0]);
  else if (rename !== undefined) renameSync(join(data, rename[0]), join(data, rename[1]));
  else if (clear) for (const name of readdirSync(data)) if (/\.db(-wal|-shm)?$/.test(name)) rmSync(join(data, name), { force: true });
  return null;
}

createServer(async (request, response) => {
  let status = 200;
  let result = "ok";
  try {
    let body = "";
    for await (const chunk of request) body += chunk;
    if (request.method === "POST") for (const action of JSON.parse(body)) result = await act(action);
  } catch (error) {
    [status, result] = [500, String(error)];
  }
  response.writeHead(status).end(JSON.stringify(result));
}).listen(Number(process.env.PORT), "127.0.0.1");
