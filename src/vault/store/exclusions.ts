/**
 * The databases that operators excluded from capture (`stead databases exclude`), for all hosts of a service, now and
 * later.
 *
 * Why not a record of the log: an operator excludes a database *because* no host can stay primary with it, and then no
 * host writes to the log. Records are removed by retention, and a new kind of record would stop hosts of an older
 * version in the middle of an upgrade. Exclusions also decide nothing that the log decides: who is primary, and what is
 * committed. The removal of an excluded database from the state is an ordinary commit of the primary, so a reader of
 * the log need not know exclusions.
 *
 * Each change is one immutable object with the whole resulting list, under the next number. Of two concurrent changes
 * one finds its number taken, and is repeated on the other's result. The objects are kept: they record who excluded
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
  /** The host that received the change. */
  host: v.string(),
  /** Wall-clock time, milliseconds since 1970. */
  atMs: v.number(),
});
export type Exclusion = v.InferOutput<typeof exclusionSchema>;

const objectSchema = v.object({
  format: v.literal(format),
  version: v.literal(version),
  databases: v.array(exclusionSchema),
});

interface Stored {
  /** 0: there was no change yet. */
  readonly number: number;
  readonly databases: readonly Exclusion[];
}

/** Returns the list in force. Throws StoreError, UnknownFormatError. */
export const readExclusions = async (store: Store): Promise<readonly Exclusion[]> =>
  (await readStored(store)).databases;

/**
 * Makes a change, unless it changes nothing (`undefined`). Resolves with the resulting list once it is durable. Throws
 * StoreError, also an ambiguous one: the change may then have been made, and repeating the call makes sure of it.
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
  const keys = await store.list(exclusionPrefix);
  const number = Math.max(0, ...keys.map((key) => positionOfKey(exclusionPrefix, key) ?? 0));
  if (number === 0) return { number, databases: [] };
  const key = exclusionKey(number);
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
