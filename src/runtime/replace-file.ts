/** Files that other processes read while they are replaced: configurations, secrets, certificates. */
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

/**
 * Writes the whole text in place of what was there, at once and durably: a reader, and a crash at any time,
 * find the old text or the new one. `mode` undefined: the file is there, and keeps its mode and owner. Throws what the
 * file system says.
 */
export function replaceFile(path: string, text: string, mode?: number): void {
  const draft = `${path}.new`;
  const kept = mode === undefined ? statSync(path) : undefined;
  rmSync(draft, { force: true });
  const file = openSync(draft, "wx", 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  const made = statSync(draft);
  if (kept !== undefined && (made.uid !== kept.uid || made.gid !== kept.gid)) chownSync(draft, kept.uid, kept.gid);
  chmodSync(draft, (kept?.mode ?? mode ?? 0o600) & 0o777);
  renameSync(draft, path);
  // Windows opens no folders.
  if (process.platform !== "win32") syncFolder(dirname(path));
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
