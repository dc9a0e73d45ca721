/**
 * When a file of a captured database is really gone. One scan is no evidence: folders are read one after the other, and
 * a file that is renamed meanwhile may be in none of them, so its content would be deleted in the journal before the
 * file is captured under its new name. A second scan begins after the rename, and finds it.
 */
import type { Discovery, FoundFile } from "./discovery.ts";
import { type FileIdentity, sameFile } from "./file-identity.ts";
import { cannotRead } from "./refusals.ts";

export type Scan = ReadonlyMap<string, FoundFile>;

/** An application renames a file now and then, not between all scans. The next look tries again. */
const scansMax = 5;

/** Scans until two scans agree. Throws `CaptureError` if that does not happen. */
export function scanUntilStill(discovery: Pick<Discovery, "refresh" | "forget">): Scan {
  for (let scans = 0; scans < scansMax; scans++) {
    const before = discovery.refresh();
    discovery.forget();
    const after = discovery.refresh();
    if (isSame(before, after)) return after;
  }
  throw cannotRead(".", new Error("its files are renamed all the time"));
}

/** True if a database is not where it was, as far as a scan shows. */
export function misses(found: Scan, open: Iterable<OpenDatabase>, dormant: Iterable<Placed>): boolean {
  for (const { name, files } of open) if (isAway(found, { name, identity: files.identity })) return true;
  for (const database of dormant) if (isAway(found, database)) return true;
  return false;
}

interface Placed {
  readonly name: string;
  readonly identity: FileIdentity;
}

interface OpenDatabase {
  readonly name: string;
  readonly files: { readonly identity: FileIdentity };
}

function isAway(found: Scan, { name, identity }: Placed): boolean {
  const file = found.get(name);
  return file === undefined || !sameFile(file.identity, identity);
}

function isSame(a: Scan, b: Scan): boolean {
  return a.size === b.size && ![...a].some(([name, { identity }]) => isAway(b, { name, identity }));
}
