/**
 * Refuses data folders on file systems where POSIX locks or shared memory between processes cannot be trusted.
 * Magic numbers: statfs(2). Only Linux has them; elsewhere the check passes.
 */
import { statfsSync } from "node:fs";
import { CaptureError } from "./capture-error.ts";

const networkFileSystems: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff53_4d42, "CIFS"],
  [0xfe53_4d42, "SMB2"],
  [0x0102_1997, "9p"],
  [0x6573_5546, "FUSE"],
  [0x00c3_6400, "Ceph"],
  [0x5346_414f, "AFS"],
  [0x7375_7245, "Coda"],
  [0x0bd0_0bd0, "Lustre"],
  [0x4750_4653, "GPFS"],
  [0x0116_1970, "GFS2"],
  [0x7461_636f, "OCFS2"],
]);

/** Returns the name of the network file system of a `statfs` type, if it is one. */
export const networkFileSystem = (type: number): string | undefined => networkFileSystems.get(type >>> 0);

/** Throws `CaptureError` when `folder` (called `name` in messages) is on one. */
export function refuseNetworkFileSystem(
  folder: string,
  name: string,
  typeOf = (path: string): number => statfsSync(path).type,
): void {
  if (process.platform !== "linux") return;
  const found = networkFileSystem(typeOf(folder));
  if (found === undefined) return;
  throw new CaptureError({
    kind: "network-file-system",
    database: name,
    found: `${found} under ${folder}`,
    accepted: "a local file system (ext4, xfs, btrfs, zfs, tmpfs, …)",
    advice: "Keep the application's data folder on a local disk; only the vault belongs on shared storage.",
  });
}
