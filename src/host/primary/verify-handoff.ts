/**
 * Proves at a promotion that the state found by capture on the disk is the one that the replica left: the state at the
 * end of the log.
 *
 * The content of the databases when capture begins is the base of everything that is journaled later, but is itself in
 * no record. If it were not the state of the log (another process wrote there, the disk decayed, a file was dropped
 * in), acknowledged data would be missing, or clients would see data that no failover restores.
 */
import type { DatabaseChecksum } from "../../core/delta.ts";
import type { CaptureSource, KnownPages } from "../ports/ports.ts";

export interface ProvableSource extends CaptureSource {
  checksums(): ReadonlyMap<string, DatabaseChecksum>;
  close(options?: { readonly fold?: boolean }): Promise<unknown>;
}

/** The local databases are not what the journal made of them. */
export class DivergedCopyError extends Error {
  override readonly name = "DivergedCopyError";
  constructor(what: string) {
    super(`the local databases are not what the journal made of them: ${what}; they are restored from the vault`);
  }
}

/**
 * Returns the source if it begins at the known state (`excluded`: databases that it leaves out although the journal has
 * them, and removes there); otherwise closes it, leaving the files as they are, and throws.
 */
export async function verifyHandoff<Source extends ProvableSource>(
  source: Source,
  known: KnownPages,
  excluded: ReadonlySet<string> = new Set(),
): Promise<Source> {
  const difference = differenceOf(source.checksums(), known, excluded);
  if (difference === undefined) return source;
  await source.close({ fold: false });
  throw new DivergedCopyError(difference);
}

function differenceOf(
  found: ReadonlyMap<string, DatabaseChecksum>,
  known: KnownPages,
  excluded: ReadonlySet<string>,
): string | undefined {
  for (const name of found.keys()) if (!known.has(name)) return `${name} is in none of its records`;
  for (const [name, pages] of known) {
    if (excluded.has(name)) continue;
    const sum = found.get(name);
    if (sum === undefined) return `${name} is missing`;
    if (Buffer.compare(sum, pages.checksum()) !== 0) return `${name} has other content`;
  }
  return undefined;
}
