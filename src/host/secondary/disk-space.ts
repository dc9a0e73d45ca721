/** How much room the file systems of this host have, and which folders share one; tests bring their own. */
import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";

export interface DiskSpace {
  /** Bytes that this process may still write below the folder. */
  free(folder: string): Promise<number>;
  /** Equal for folders on one file system; undefined: the folder is not there. */
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

/** Where the file system of the folder is mounted: the highest folder above it that is on the same one. */
export async function mountPointOf(folder: string, disk: Pick<DiskSpace, "device">): Promise<string> {
  const device = await disk.device(folder);
  let point = folder;
  while (dirname(point) !== point && (await disk.device(dirname(point))) === device) point = dirname(point);
  return point;
}
