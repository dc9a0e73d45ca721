/**
 * The application of `bench:tenants`: one database for each tenant, as services with thousands of them do it. A
 * tenant's database is opened by its first request; of those that are open the one that was used least recently is
 * closed when there are too many.
 *
 * `PORT`, `DATA_DIR`. POST /tenants/N adds a row to `tenants/N.db` (201); GET /tenants/N counts them; GET /health.
 */
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";

const openMax = 50;
const folder = join(process.env["DATA_DIR"] ?? ".", "tenants");

interface Tenant {
  readonly database: DatabaseSync;
  readonly insert: StatementSync;
  readonly count: StatementSync;
}

const open = new Map<string, Tenant>();

function tenant(name: string): Tenant {
  const known = open.get(name);
  if (known !== undefined) {
    open.delete(name);
    open.set(name, known);
    return known;
  }
  const database = new DatabaseSync(join(folder, `${name}.db`));
  database.exec(
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=5000; CREATE TABLE IF NOT EXISTS notes(text)",
  );
  const fresh = {
    database,
    insert: database.prepare("INSERT INTO notes VALUES(?)"),
    count: database.prepare("SELECT count(*) AS n FROM notes"),
  };
  open.set(name, fresh);
  const [oldest] = open.keys();
  if (open.size > openMax && oldest !== undefined) {
    open.get(oldest)?.database.close();
    open.delete(oldest);
  }
  return fresh;
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env["PORT"] ?? "8080"),
  idleTimeout: 0,
  fetch(request) {
    const name = /^\/tenants\/(\d+)$/.exec(new URL(request.url).pathname)?.[1];
    if (name === undefined) return new Response("ready\n");
    const { insert, count } = tenant(name);
    if (request.method !== "POST") return Response.json(count.get());
    insert.run("x".repeat(200));
    return new Response("added\n", { status: 201 });
  },
});
console.log(`tenants: listening on ${server.url.href}`);

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    for (const { database } of open.values()) database.close();
    process.exit(0);
  });
}
