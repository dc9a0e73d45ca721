/**
 * The SQLite version that last wrote a database, from its header (https://www.sqlite.org/fileformat.html, section
 * 1.3.18: offset 96), and a warning about known defects.
 *
 * Before 3.51.3 a checkpoint that met a reset of the log by another connection at the wrong moment could lose frames
 * ("WAL-reset bug", https://www.sqlite.org/wal.html): the application's own database gets damaged, with and without
 * stead, and the journal has what the file has.
 */
import { readSync } from "node:fs";

const fixedIn = 3_051_003;
const versionOffset = 96;

/** Returns a warning, or undefined if the version is good or unknown. The descriptor must be one that stays open. */
export function adviseOnWriter(name: string, dbFd: number): string | undefined {
  const bytes = Buffer.alloc(4);
  if (readSync(dbFd, bytes, 0, 4, versionOffset) < 4) return undefined;
  const version = bytes.readUInt32BE(0);
  // Smaller than the first version 3, or of no known scheme: another engine's.
  if (version < 3_000_000 || version > 4_000_000 || version >= fixedIn) return undefined;
  return `${name} was written by SQLite ${versionText(version)}: before 3.51.3 several connections of which one checkpoints can damage a database in WAL mode (https://www.sqlite.org/wal.html, "WAL-reset bug"). Update the application's SQLite library`;
}

const versionText = (version: number): string =>
  `${Math.floor(version / 1_000_000)}.${Math.floor(version / 1000) % 1000}.${version % 1000}`;
