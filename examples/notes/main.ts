/** Starts the notes application: `PORT=8080 DATA_DIR=./data bun examples/notes/main.ts`. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { websocket } from "hono/bun";
import { Notebook, notesApp } from "./notes.ts";

const folder = process.env["DATA_DIR"] ?? ".";
mkdirSync(folder, { recursive: true });
const notebook = new Notebook(join(folder, "notes.db"));
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env["PORT"] ?? "8080"),
  idleTimeout: 0,
  fetch: notesApp(notebook).fetch,
  websocket,
});
console.log(`notes: listening on ${server.url.href}`);

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    notebook.close();
    process.exit(0);
  });
}
