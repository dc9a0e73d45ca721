/** Starts the notes application: `PORT=8080 DATA_DIR=./data bun examples/notes/main.ts`, or with `node` or `deno`. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Attachments } from "./attachments.ts";
import { Notebook, notesApp } from "./notes.ts";

const folder = process.env["DATA_DIR"] ?? ".";
mkdirSync(folder, { recursive: true });
const notebook = await Notebook.open(join(folder, "notes.db"));
const attachments = new Attachments(notebook.database, join(folder, "attachments"));
const address = { hostname: "127.0.0.1", port: Number(process.env["PORT"] ?? "8080") };
if ("Bun" in globalThis) {
  const { upgradeWebSocket, websocket } = await import("hono/bun");
  Bun.serve({ ...address, idleTimeout: 0, fetch: notesApp(notebook, attachments, upgradeWebSocket).fetch, websocket });
} else {
  const { serve } = await import("@hono/node-server");
  serve({ ...address, fetch: notesApp(notebook, attachments).fetch });
}
console.log(`notes: listening on http://${address.hostname}:${address.port}/`);

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    notebook.close();
    process.exit(0);
  });
}
