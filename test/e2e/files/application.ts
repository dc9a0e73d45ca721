/**
 * An application that keeps what users upload beside its database, as many do: `PORT=8080 DATA_DIR=. bun
 * test/e2e/files/application.ts`. For `proof:files`, `bench:files` and the tests; it knows nothing of stead.
 *
 * A row of `uploads` refers to a file below `uploads/`. The file is written first, under another name, and renamed; the
 * row is committed then. A deletion commits first and removes the file then. It does not start with a database whose
 * file with the executed migrations is missing, and signs sessions with a generated key.
 *
 *     PUT /uploads/ID        body: the content
 *     GET /uploads/ID        the content; 404: no row; 500: a row without its file
 *     DELETE /uploads/ID
 *     POST /move/ID          gives the file another name
 *     POST /albums/FROM/TO   renames a folder with files
 *     PUT /albums/ALBUM/ID   body: a file in a folder, without a row
 *     GET /all               every row with what its file has, and all files without a row
 *     GET /session           a signed session; GET /whoami checks it
 *     POST /notes            a row without a file
 */
import { Database } from "bun:sqlite";
import { createHash, createHmac, randomBytes } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";

const folder = process.env["DATA_DIR"] ?? ".";
const uploads = join(folder, "uploads");
const migrations = join(folder, ".migrate");
const databaseFile = join(folder, "app.db");

if (existsSync(databaseFile) && statSync(databaseFile).size > 0 && !existsSync(migrations)) {
  console.error("files: app.db without .migrate: it is unknown which migrations were executed");
  process.exit(1);
}
const database = new Database(databaseFile);
database.run("PRAGMA journal_mode=WAL");
database.run("CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, path TEXT NOT NULL, hash TEXT NOT NULL)");
database.run("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)");
writeFileSync(migrations, JSON.stringify({ executed: ["001-uploads", "002-notes"] }));
mkdirSync(uploads, { recursive: true });
mkdirSync(join(folder, "secrets"), { recursive: true, mode: 0o700 });
const keyFile = join(folder, "secrets", "session.key");
if (!existsSync(keyFile)) writeFileSync(keyFile, randomBytes(32), { mode: 0o600 });
const key = readFileSync(keyFile);

const insert = database.query("INSERT OR REPLACE INTO uploads (id, path, hash) VALUES (?1, ?2, ?3)");
const find = database.query<{ path: string; hash: string }, [string]>("SELECT path, hash FROM uploads WHERE id = ?1");
const remove = database.query("DELETE FROM uploads WHERE id = ?1");
const move = database.query("UPDATE uploads SET path = ?2 WHERE id = ?1");
const all = database.query<{ id: string; path: string; hash: string }, []>("SELECT id, path, hash FROM uploads");
const note = database.query("INSERT INTO notes (body) VALUES (?1)");

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const signatureOf = (session: string): string => createHmac("sha256", key).update(session).digest("hex");
let temporaries = 0;

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const [, what = "", first = "", second = ""] = pathname.split("/");
  switch (`${request.method} ${what}`) {
    case "GET health":
      return new Response("well");
    case "PUT uploads":
      return upload(first, Buffer.from(await request.arrayBuffer()));
    case "GET uploads":
      return download(first);
    case "DELETE uploads":
      return removeUpload(first);
    case "POST move":
      return moveUpload(first);
    case "POST albums":
      return renameAlbum(first, second);
    case "PUT albums":
      return writeTo(join(uploads, "albums", first, second), Buffer.from(await request.arrayBuffer()));
    case "GET all":
      return Response.json(everything());
    case "GET session":
      return new Response("signed", { headers: { "Set-Cookie": `session=s1.${signatureOf("s1")}` } });
    case "GET whoami":
      return new Response("", { status: isSigned(request.headers.get("Cookie") ?? "") ? 200 : 401 });
    case "POST notes":
      note.run(await request.text());
      return new Response("noted", { status: 201 });
    default:
      return new Response("no such thing", { status: 404 });
  }
}

function isSigned(cookie: string): boolean {
  const [session = "", signature = ""] = cookie.replace("session=", "").split(".");
  return signature === signatureOf(session);
}

function writeTo(path: string, bytes: Uint8Array): Response {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(uploads, `.part-${process.pid}-${(temporaries += 1)}`);
  writeFileSync(temporary, bytes);
  renameSync(temporary, path);
  return new Response("written", { status: 201 });
}

function upload(id: string, bytes: Uint8Array): Response {
  const path = join(id.slice(0, 2), id);
  const response = writeTo(join(uploads, path), bytes);
  insert.run(id, path, hashOf(bytes));
  return response;
}

function download(id: string): Response {
  const row = find.get(id);
  if (row === null) return new Response("no such upload", { status: 404 });
  const path = join(uploads, row.path);
  return existsSync(path) ? new Response(readFileSync(path)) : new Response("a row without its file", { status: 500 });
}

function removeUpload(id: string): Response {
  const row = find.get(id);
  if (row === null) return new Response("no such upload", { status: 404 });
  remove.run(id);
  unlinkSync(join(uploads, row.path));
  return new Response("removed");
}

function moveUpload(id: string): Response {
  const row = find.get(id);
  if (row === null) return new Response("no such upload", { status: 404 });
  const path = join("moved", `${id}-${(temporaries += 1)}-${process.pid}`);
  mkdirSync(join(uploads, "moved"), { recursive: true });
  linkSync(join(uploads, row.path), join(uploads, path));
  move.run(id, path);
  unlinkSync(join(uploads, row.path));
  return new Response("moved");
}

function renameAlbum(from: string, to: string): Response {
  const albums = join(uploads, "albums");
  if (!existsSync(join(albums, from))) return new Response("no such album", { status: 404 });
  renameSync(join(albums, from), join(albums, to));
  return new Response("renamed");
}

function everything(): { rows: { id: string; path: string; hash: string; found: string | null }[]; others: string[] } {
  const rows = all.all().map((row) => {
    const path = join(uploads, row.path);
    return { ...row, found: existsSync(path) ? hashOf(readFileSync(path)) : null };
  });
  const known = new Set(rows.map(({ path }) => path));
  const others = readdirSync(uploads, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(uploads, join(entry.parentPath, entry.name)))
    .filter((path) => !known.has(path));
  return { rows, others };
}

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env["PORT"] ?? "8080"),
  idleTimeout: 0,
  maxRequestBodySize: 1024 * 1024 * 1024,
  fetch: (request) =>
    answer(request).catch((error: unknown) => new Response(`files: ${String(error)}`, { status: 500 })),
});
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(0));
