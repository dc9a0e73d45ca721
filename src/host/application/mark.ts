/**
 * The mark of a host's applications: an environment variable that every process started by them inherits, also across
 * `setsid` and a change of parent. A restarted host uses it to find what its predecessor's application left.
 *
 * It is random and belongs to one state folder, not to its path or to the host's id: a container on the same machine
 * may have the same ones, and with a copied state folder two hosts would kill each other's applications. A copy has
 * another inode, and gets a new mark.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const markVariable = "STEAD_MARK";

/**
 * Returns the mark of this existing state folder; creates one if it has none. Needs no sync: no process survives a
 * power failure.
 */
export function applicationMark(stateFolder: string): string {
  const path = join(stateFolder, "application.mark");
  const { dev, ino } = statSync(stateFolder);
  const place = `${dev}:${ino}`;
  const known = read(path);
  if (known !== undefined && known.place === place) return known.mark;
  const mark = randomBytes(12).toString("hex");
  writeFileSync(path, `${mark} ${place}\n`);
  return mark;
}

function read(path: string): { mark: string; place: string } | undefined {
  try {
    const [, mark, place] = /^([0-9a-f]{24}) (\d+:\d+)\n$/.exec(readFileSync(path, "utf8")) ?? [];
    return mark === undefined || place === undefined ? undefined : { mark, place };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
