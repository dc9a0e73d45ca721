/** A database of the notes application that is as large as wanted. */
import { Database } from "bun:sqlite";
import { Notebook } from "../../examples/notes/notes.ts";

export const blobBytes = 2 ** 20;

/**
 * Creates the application's own tables, and fills `mib` MiB. `halves`: every second blob is text of a few words, which
 * compresses well; without it no compression makes the content smaller.
 */
export async function fill(file: string, mib: number, { halves = false } = {}): Promise<void> {
  (await Notebook.open(file)).close();
  const database = new Database(file);
  database.run("CREATE TABLE filler (id INTEGER PRIMARY KEY, content BLOB)");
  const insert = database.query<null, [number]>("INSERT INTO filler (content) VALUES (randomblob(?))");
  const insertText = database.query<null, [string]>("INSERT INTO filler (content) VALUES (?)");
  for (let done = 0; done < mib; done += 64) {
    database.transaction(() => {
      for (let one = done; one < Math.min(mib, done + 64); one += 1)
        if (halves && one % 2 === 1) insertText.run(textOf(one));
        else insert.run(blobBytes);
    })();
  }
  database.run("PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}

/** Lines that are alike and not equal, as in a log. */
function textOf(seed: number): string {
  let text = "";
  for (let line = 0; text.length < blobBytes; line += 1)
    text += `${seed}-${line} order of ${(line * 7919 + seed) % 1_000_003} was paid and sent, ${(line * 104_729) % 997} left\n`;
  return text.slice(0, blobBytes);
}

/**
 * Gives every page of the filler new content, as a second process of the application would. After each transaction a
 * client waits for an answer, which waits until the journal has everything: this process writes no faster than the
 * vault takes the pages.
 */
export async function rewrite(file: string, settle: () => Promise<unknown>): Promise<void> {
  const database = new Database(file);
  database.run("PRAGMA busy_timeout = 60000");
  const update = database.query<null, [number, number]>("UPDATE filler SET content = randomblob(?) WHERE id = ?");
  const count = database.query<{ count: number }, []>("SELECT count(*) AS count FROM filler").get()?.count ?? 0;
  for (let from = 1; from <= count; from += 16) {
    database.transaction(() => {
      for (let id = from; id < from + 16; id += 1) update.run(blobBytes, id);
    })();
    await settle();
  }
  database.close();
}
