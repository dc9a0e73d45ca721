/** The free space of this host's file systems, and which folders share one; tests supply their own. */
import { stat, statfs } from "node:fs/promises";
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
