/**
 * A small notes application: Hono, one SQLite file, and attachments beside it, on Bun, Node or Deno. It knows nothing
 * of stead: it reads `PORT` and `DATA_DIR`, commits with `synchronous=FULL`, and answers when SQLite says that the
 * commit is done.
 *
 * Every change gets a revision, one after the other, and stays in the history. Saving a text that a note has already is
 * no change, so a repeated PUT leaves one entry only; a repeated POST makes a second note, as anywhere.
 */
import { type Context, Hono } from "hono";
import { streamSSE } from "hono/streaming";
import type { UpgradeWebSocket } from "hono/ws";
import { type Attachments, attachmentBytesMax } from "./attachments.ts";
import { openSqlite, type SqliteFile } from "./sqlite.ts";

const textBytesMax = 64 * 1024;
const changesPerPageMax = 10_000;

export interface Note {
  readonly id: number;
  readonly text: string;
  readonly revision: number;
}

export interface Change {
  readonly revision: number;
  readonly note: number;
  readonly text: string;
}

const schema = `
  CREATE TABLE IF NOT EXISTS changes (revision INTEGER PRIMARY KEY AUTOINCREMENT, note INTEGER NOT NULL, text TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, revision INTEGER NOT NULL);
`;

/** The notes in one database file. */
export class Notebook {
  readonly #database: SqliteFile;
  readonly #insertNote;
  readonly #updateNote;
  readonly #insertChange;
  readonly #selectNote;
  readonly #selectChanges;
  readonly #selectLatest;
  readonly #listeners = new Set<(change: Change) => void>();

  static async open(file: string): Promise<Notebook> {
    return new Notebook(await openSqlite(file));
  }

  get database(): SqliteFile {
    return this.#database;
  }

  private constructor(database: SqliteFile) {
    this.#database = database;
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = FULL");
    database.run("PRAGMA busy_timeout = 5000");
    database.run(schema);
    this.#insertNote = database.query<{ id: number }, [string]>(
      "INSERT INTO notes (text, revision) VALUES (?, 0) RETURNING id",
    );
    this.#updateNote = database.query<null, [string, number, number]>(
      "UPDATE notes SET text = ?, revision = ? WHERE id = ?",
    );
    this.#insertChange = database.query<{ revision: number }, [number, string]>(
      "INSERT INTO changes (note, text) VALUES (?, ?) RETURNING revision",
    );
    this.#selectNote = database.query<Note, [number]>("SELECT id, text, revision FROM notes WHERE id = ?");
    this.#selectChanges = database.query<Change, [number, number]>(
      "SELECT revision, note, text FROM changes WHERE revision > ? ORDER BY revision LIMIT ?",
    );
    this.#selectLatest = database.query<{ latest: number }, readonly []>(
      "SELECT coalesce(max(revision), 0) AS latest FROM changes",
    );
  }

  get(id: number): Note | null {
    return this.#selectNote.get(id);
  }

  changes(after: number, limit: number): { readonly latest: number; readonly changes: Change[] } {
    return this.#database.within("DEFERRED", () => ({
      latest: this.#selectLatest.get()?.latest ?? 0,
      changes: this.#selectChanges.all(after, limit),
    }));
  }

  add(text: string): Note {
    return this.#announce(this.#write(() => this.#save(this.#insertNote.get(text)?.id ?? 0, text)));
  }

  /** Undefined when there is no such note. */
  replace(id: number, text: string): Note | undefined {
    const outcome = this.#write(() => {
      const note = this.get(id);
      if (note === null) return undefined;
      return note.text === text ? { note, changed: false } : { note: this.#save(id, text), changed: true };
    });
    return outcome?.changed === true ? this.#announce(outcome.note) : outcome?.note;
  }

  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#database.close();
  }

  #write<T>(body: () => T): T {
    return this.#database.within("IMMEDIATE", body);
  }

  #save(id: number, text: string): Note {
    const revision = this.#insertChange.get(id, text)?.revision ?? 0;
    this.#updateNote.run(text, revision, id);
    return { id, text, revision };
  }

  #announce(note: Note): Note {
    for (const listener of this.#listeners) listener({ revision: note.revision, note: note.id, text: note.text });
    return note;
  }
}

/** The text in the request body, or the answer that refuses it. */
async function readText(c: Context): Promise<string | Response> {
  const body: unknown = await c.req.json().catch(() => undefined);
  const text = typeof body === "object" && body !== null && "text" in body ? body.text : undefined;
  if (typeof text !== "string") return c.json({ error: 'the body must be {"text": "…"}' }, 400);
  if (Buffer.byteLength(text) > textBytesMax) return c.json({ error: `a note has at most ${textBytesMax} bytes` }, 413);
  return text;
}

function addAttachments(app: Hono, notebook: Notebook, attachments: Attachments): void {
  app.get("/attachments", (c) => c.json({ attachments: attachments.all() }));

  app.post("/notes/:id{[0-9]+}/attachments", async (c) => {
    const note = notebook.get(Number(c.req.param("id")));
    if (note === null) return c.json({ error: "no such note" }, 404);
    const bytes = new Uint8Array(await c.req.arrayBuffer());
    if (bytes.length > attachmentBytesMax)
      return c.json({ error: `an attachment has at most ${attachmentBytesMax} bytes` }, 413);
    return c.json(attachments.add(note.id, bytes), 201);
  });

  app.get("/attachments/:id{[0-9]+}", (c) => {
    const attachment = attachments.get(Number(c.req.param("id")));
    return attachment === null ? c.json({ error: "no such attachment" }, 404) : c.body(attachments.read(attachment));
  });

  app.delete("/attachments/:id{[0-9]+}", (c) =>
    attachments.delete(Number(c.req.param("id"))) ? c.body(null, 204) : c.json({ error: "no such attachment" }, 404),
  );
}

/** The routes of the application; `/echo` where the runtime's server has WebSockets. */
export function notesApp(notebook: Notebook, attachments: Attachments, upgradeWebSocket?: UpgradeWebSocket): Hono {
  const app = new Hono();
  app.get("/health", (c) => c.text("ok\n"));
  addAttachments(app, notebook, attachments);

  app.post("/notes", async (c) => {
    const text = await readText(c);
    return typeof text === "string" ? c.json(notebook.add(text), 201) : text;
  });

  app.get("/notes/:id{[0-9]+}", (c) => {
    const note = notebook.get(Number(c.req.param("id")));
    return note === null ? c.json({ error: "no such note" }, 404) : c.json(note);
  });

  app.put("/notes/:id{[0-9]+}", async (c) => {
    const text = await readText(c);
    if (typeof text !== "string") return text;
    const note = notebook.replace(Number(c.req.param("id")), text);
    return note === undefined ? c.json({ error: "no such note" }, 404) : c.json(note);
  });

  /** `after`: the last revision that the client has. */
  app.get("/changes", (c) => {
    const after = Number(c.req.query("after") ?? "0");
    const limit = Math.min(Number(c.req.query("limit") ?? "100"), changesPerPageMax);
    if (!Number.isInteger(after) || !Number.isInteger(limit) || limit < 1)
      return c.json({ error: "after and limit are integers" }, 400);
    return c.json(notebook.changes(after, limit));
  });

  /** Server-sent events: the newest revision, then every change. */
  app.get("/events", (c) =>
    streamSSE(c, async (stream) => {
      const stop = notebook.listen((change) => {
        stream.writeSSE({ event: "change", data: JSON.stringify(change) }).catch(() => stop());
      });
      await stream.writeSSE({ event: "latest", data: String(notebook.changes(0, 1).latest) });
      await new Promise<void>((resolve) => stream.onAbort(resolve));
      stop();
    }),
  );

  if (upgradeWebSocket !== undefined)
    app.get(
      "/echo",
      upgradeWebSocket(() => ({ onMessage: (event, socket) => socket.send(event.data as string) })),
    );
  return app;
}
