/**
 * Attachments of notes: a row for each, and its content in a file beside the database, as many applications keep what
 * users upload.
 *
 * A file is written whole under another name before it gets its own, and its row is committed after that; a deletion
 * commits first and removes the file then. So no row is without its file at any moment, and a process that dies in
 * between leaves a file without a row, which is removed at the next start.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SqliteFile } from "./sqlite.ts";

export const attachmentBytesMax = 16 * 1024 * 1024;

export interface Attachment {
  readonly id: number;
  readonly note: number;
  readonly size: number;
  readonly sha256: string;
  /** Name of its file in the folder. */
  readonly file: string;
}

const schema = `
  CREATE TABLE IF NOT EXISTS attachments (id INTEGER PRIMARY KEY AUTOINCREMENT, note INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, file TEXT NOT NULL);
`;

export class Attachments {
  readonly #folder: string;
  readonly #insert;
  readonly #select;
  readonly #selectAll;
  readonly #delete;

  constructor(database: SqliteFile, folder: string) {
    this.#folder = folder;
    database.run(schema);
    const fields = "id, note, size, sha256, file";
    this.#insert = database.query<Attachment, [number, number, string, string]>(
      `INSERT INTO attachments (note, size, sha256, file) VALUES (?, ?, ?, ?) RETURNING ${fields}`,
    );
    this.#select = database.query<Attachment, [number]>(`SELECT ${fields} FROM attachments WHERE id = ?`);
    this.#selectAll = database.query<Attachment, readonly []>(`SELECT ${fields} FROM attachments ORDER BY id`);
    this.#delete = database.query<Attachment, [number]>(`DELETE FROM attachments WHERE id = ? RETURNING ${fields}`);
    mkdirSync(folder, { recursive: true });
    this.#removeOthers();
  }

  get(id: number): Attachment | null {
    return this.#select.get(id);
  }

  all(): Attachment[] {
    return this.#selectAll.all();
  }

  /** Throws if there is a row and no file. */
  read({ file }: Attachment): Uint8Array<ArrayBuffer> {
    return new Uint8Array(readFileSync(join(this.#folder, file)));
  }

  add(note: number, bytes: Uint8Array): Attachment {
    const file = randomUUID();
    const temporary = join(this.#folder, `${file}.part`);
    writeFileSync(temporary, bytes);
    renameSync(temporary, join(this.#folder, file));
    const row = this.#insert.get(note, bytes.length, createHash("sha256").update(bytes).digest("hex"), file);
    if (row === null) throw new Error("the row was not inserted");
    return row;
  }

  /** False: there is none. */
  delete(id: number): boolean {
    const row = this.#delete.get(id);
    if (row === null) return false;
    rmSync(join(this.#folder, row.file));
    return true;
  }

  #removeOthers(): void {
    const known = new Set(this.all().map(({ file }) => file));
    for (const name of readdirSync(this.#folder)) if (!known.has(name)) rmSync(join(this.#folder, name));
  }
}
