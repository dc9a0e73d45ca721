/**
 * A separate control group for the application (cgroup v2, Linux 5.14 or newer): no process can leave it by `setsid`,
 * by a second fork or by an empty environment, and the kernel kills all of it at once (`cgroup.kill`).
 *
 *   <cgroup of the host>/stead-<mark>/<run>
 *
 * Each start has its own folder below: the watcher's readers kill theirs when the host has died, and a late reader must
 * not kill the application of the next start. Killing the folder above kills all of them. No controller is enabled, so
 * the host may stay where it is.
 *
 * It exists only if the host may create it: as root, or if its own cgroup was delegated to it (systemd:
 * `Delegate=yes`). Inside most containers it may not; leftovers.ts describes the alternative.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";

export class Cgroup {
  readonly path: string;
  /** `cgroup.procs` of the host's own cgroup. */
  readonly #ownMembers: string;
  #runs = 0;

  private constructor(path: string, ownMembers: string) {
    this.path = path;
    this.#ownMembers = ownMembers;
  }

  /**
   * Returns undefined if this host may not create one. A cgroup that an earlier run of the host left is taken over with
   * its processes.
   */
  static make(mark: string): Cgroup | undefined {
    const own = ownCgroup();
    if (own === undefined) return undefined;
    const path = join(own, `stead-${mark}`);
    try {
      // Moving a process needs this too; the folder alone would be useless.
      const ownMembers = join(own, "cgroup.procs");
      accessSync(ownMembers, constants.W_OK);
      mkdirSync(path, { recursive: true });
      const cgroup = new Cgroup(path, ownMembers);
      const canKill = existsSync(join(path, "cgroup.kill"));
      // Created again at the first start. Processes of an earlier run stay.
      cgroup.remove();
      return canKill ? cgroup : undefined;
    } catch {
      // Not delegated, read-only, or too old: in all cases there is none.
    }
    return undefined;
  }

  /** Returns an empty one for the next start. */
  nextRun(): string {
    for (;;) {
      this.#runs += 1;
      const path = join(this.path, String(this.#runs));
      if (existsSync(path)) continue;
      mkdirSync(path, { recursive: true });
      return path;
    }
  }

  /**
   * Makes the next move of a process quick. Returns at once. The first move after a while makes the kernel wait for an
   * RCU grace period (`cgroup_threadgroup_rwsem`, kernel/cgroup/cgroup.c): 5 to 12 ms in the middle of a promotion. A
   * move soon afterwards does not wait. The host therefore moves itself to where it already is, which changes nothing,
   * on another thread.
   */
  warm(): void {
    writeFile(this.#ownMembers, String(process.pid)).catch(() => undefined); // The application's own move says what does not work.
  }

  members(): number[] {
    return this.#folders().flatMap((folder) => linesOf(join(folder, "cgroup.procs")).map(Number));
  }

  /** Kills everything in it, including processes that are being forked. */
  kill(): void {
    try {
      writeFileSync(join(this.path, "cgroup.kill"), "1");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }

  /** Removes empty folders; a process that is just ending keeps its folder until the next time. */
  remove(): void {
    for (const folder of this.#folders().toReversed()) {
      try {
        rmdirSync(folder);
      } catch {
        // In use for a moment longer. An empty cgroup does no harm.
      }
    }
  }

  #folders(): string[] {
    try {
      const below = readdirSync(this.path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
      return [this.path, ...below.map(({ name }) => join(this.path, name))];
    } catch {
      return [];
    }
  }
}

/** Returns the folder of this process's cgroup; undefined: no cgroup v2 is mounted. */
function ownCgroup(): string | undefined {
  const name = linesOf("/proc/self/cgroup")
    .find((line) => line.startsWith("0::"))
    ?.slice(3);
  // proc(5): ID parent major:minor root mount-point options … - type source options
  const mount = linesOf("/proc/self/mountinfo")
    .find((line) => line.includes(" - cgroup2 "))
    ?.split(" ");
  const [root, point] = [mount?.[3], mount?.[4]];
  if (name === undefined || root === undefined || point === undefined) return undefined;
  const way = relative(root, name);
  return way.startsWith("..") ? undefined : join(point, way);
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}
