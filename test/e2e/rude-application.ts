/**
 * An application for tests that does what it should not, when it is asked to over HTTP: POST /write inserts a row, GET
 * /rows counts them, POST /sql runs the body on a connection of its own and keeps it open, POST /exit/… ends the
 * process with code 5: another path each time, because a path that ended it twice is set aside.
 */
import { Database } from "bun:sqlite";
import { join } from "node:path";

const folder = process.env["DATA_DIR"] ?? ".";
const file = join(folder, "app.db");
const database = new Database(file, { create: true });
database.run("PRAGMA busy_timeout = 1000");
database.run("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT)");
const kept: Database[] = [];

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env["PORT"]),
  async fetch(request) {
    const { pathname } = new URL(request.url);
    try {
      if (pathname.startsWith("/exit/")) process.exit(5);
      switch (pathname) {
        case "/write":
          database.run("INSERT INTO rows (text) VALUES ('x')");
          return new Response("written", { status: 201 });
        case "/rows":
          return Response.json(database.query("SELECT count(*) AS rows FROM rows").get());
        case "/sql": {
          const connection = new Database(file);
          kept.push(connection);
          const statements = (await request.text()).split(";").filter((text) => text.trim() !== "");
          return Response.json(statements.map((sql) => connection.query(sql).all()));
        }
        default:
          return new Response("ok");
      }
    } catch (error) {
      return new Response(String(error), { status: 500 });
    }
  },
});
