/**
 * The databases that operators took out of what is captured (`stead databases exclude`), for all hosts of a service,
 * now and later.
 *
 * Why not a record of the log: an operator excludes a database *because* no host can stay primary with it, and then no
 * host writes into the log; records go with retention, and a new kind of record would stop hosts of an older version in
 * the middle of an upgrade. Nor does it decide what the log decides: who is primary, and what is committed. That an
 * excluded database is not part of the state any more is a commit of the primary like any other (a removal), so a
 * reader of the log need not know of exclusions.
 *
 * Each act is one immutable object with the whole list after it, under the number after the newest: of two acts at once
 * one finds its number taken, and is made again on what the other left. The objects are kept: they are who excluded
 * what, and when.
 */
import * as v from "valibot";
import { isDatabaseName } from "../../core/database-name.ts";
import { quoteFound, UnknownFormatError } from "../errors.ts";
import { exclusionKey, exclusionPrefix, positionOfKey } from "../keys.ts";
import type { Store } from "./store.ts";

const format = "stead-exclusions";
const version = 1;

const exclusionSchema = v.object({
  name: v.pipe(v.string(), v.check(isDatabaseName, "not the name of a database")),
  /** The host that was asked. */
  host: v.string(),
  /** Calendar time, milliseconds since 1970. */
  atMs: v.number(),
});
export type Exclusion = v.InferOutput<typeof exclusionSchema>;

const objectSchema = v.object({
  format: v.literal(format),
  version: v.literal(version),
  databases: v.array(exclusionSchema),
});

interface Stored {
  /** 0: there was no act yet. */
  readonly number: number;
  readonly databases: readonly Exclusion[];
}

/** The list that is in force. Throws StoreError, UnknownFormatError. */
export const readExclusions = async (store: Store): Promise<readonly Exclusion[]> =>
  (await readStored(store)).databases;

/**
 * Makes an act of the change; none when it changes nothing (`undefined`). Resolves with the list in force afterwards,
 * when that is durable. Throws StoreError, also an ambiguous one: the act may have been made then, and asking again
 * makes sure of it.
 */
export async function changeExclusions(
  store: Store,
  change: (now: readonly Exclusion[]) => readonly Exclusion[] | undefined,
): Promise<readonly Exclusion[]> {
  for (;;) {
    const { number, databases } = await readStored(store);
    const next = change(databases);
    if (next === undefined) return databases;
    const bytes = Buffer.from(`${JSON.stringify({ format, version, databases: next }, null, 2)}\n`);
    if ((await store.putIfAbsent(exclusionKey(number + 1), bytes)).kind === "created") return next;
  }
}

async function readStored(store: Store): Promise<Stored> {
  const key = (await store.list(exclusionPrefix)).at(-1);
  const number = key === undefined ? undefined : positionOfKey(exclusionPrefix, key);
  if (key === undefined || number === undefined) return { number: 0, databases: [] };
  const bytes = await store.get(key);
  const parsed = v.safeParse(objectSchema, bytes === undefined ? undefined : parseJson(bytes));
  if (!parsed.success)
    throw new UnknownFormatError(
      key,
      quoteFound(v.summarize(parsed.issues)),
      `version ${version} of the list of excluded databases`,
    );
  return { number, databases: parsed.output.databases };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
