/** The free space of this host's file systems, and which folders share one; tests supply their own. */
import { open, readFile, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";

export interface DiskSpace {
  /** Bytes that this process may still write below the folder. */
  free(folder: string): Promise<number>;
  /** Equal for folders on one file system; undefined: the folder does not exist. */
  device(folder: string): Promise<number | undefined>;
}

export const systemDiskSpace: DiskSpace = {
  async free(folder) {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
  device: (folder) =>
    stat(folder).then(
      ({ dev }) => dev,
      () => undefined,
    ),
};

/** Returns the mount point of the folder's file system: its highest parent on the same one. */
export async function mountPointOf(folder: string, disk: Pick<DiskSpace, "device">): Promise<string> {
  const device = await disk.device(folder);
  let point = folder;
  while (dirname(point) !== point && (await disk.device(dirname(point))) === device) point = dirname(point);
  return point;
}

/**
 * Returns false if files cannot be renamed from one of these folders to the other although they are on one file system:
 * parts of it are mounted by themselves (bind mounts, the volumes of a container).
 */
export async function areOnOneMount(folder: string, other: string): Promise<boolean> {
  return (await mountOf(folder)) === (await mountOf(other));
}

/** Number of the mount that a folder is on, as https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html has it. */
async function mountOf(folder: string): Promise<string | undefined> {
  if (process.platform !== "linux") return undefined;
  const opened = await open(folder, "r");
  try {
    return /^mnt_id:\s*(\d+)$/m.exec(await readFile(`/proc/self/fdinfo/${opened.fd}`, "utf8"))?.[1];
  } finally {
    await opened.close();
  }
}
