/**
 * A client of the notes application, in the network of an example: `bun client.ts BASE`. It writes a note and
 * reads one, one after the other, until its input ends; then it prints what happened as JSON, one line. A write without
 * an answer may have been executed: only those with an answer count.
 */
interface Report {
  readonly notes: readonly { readonly id: number; readonly text: string }[];
  readonly failedReads: readonly string[];
  /** Which notes are not there at the end. */
  readonly missing: readonly number[];
}
export type ClientReport = Report;

const [base = ""] = process.argv.slice(2);
const notes: { id: number; text: string }[] = [];
const failedReads: string[] = [];
let isEnding = false;
process.stdin.on("data", () => undefined).on("end", () => (isEnding = true));

async function write(text: string): Promise<void> {
  try {
    const answer = await fetch(`${base}/notes`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text }),
    });
    if (answer.status === 201) notes.push((await answer.json()) as { id: number; text: string });
  } catch {
    // Not acknowledged.
  }
}

/** Undefined: it was read. */
async function read({ id, text }: { readonly id: number; readonly text: string }): Promise<string | undefined> {
  try {
    const answer = await fetch(`${base}/notes/${id}`);
    const found = await answer.text();
    return answer.status === 200 && (JSON.parse(found) as { text: string }).text === text
      ? undefined
      : `${answer.status} ${found.slice(0, 200)}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

for (let turn = 1; !isEnding; turn++) {
  await write(`note ${turn}`);
  const newest = notes.at(-1);
  const failed = newest === undefined ? undefined : await read(newest);
  if (failed !== undefined) failedReads.push(`note ${newest?.id}: ${failed}`);
  process.stderr.write(`${notes.length}\n`);
  await Bun.sleep(20);
}
const missing: number[] = [];
for (const note of notes) if ((await read(note)) !== undefined) missing.push(note.id);
process.stdout.write(`${JSON.stringify({ notes, failedReads, missing } satisfies Report)}\n`);
