/**
 * Owners of files as the journal has them. The same user may have another number on another host, so what belongs to
 * the user that writes the files there (the host's, or that of `host.application.user`) is journaled as `ownersOwn`,
 * and belongs to that user on each host. Other owners are numbers, which only a host that is root sees and can give.
 */
import type { FileAttributes } from "./file-entry.ts";

/** In place of a number: the user, or its group, that writes the files on a host. No user has this one (POSIX: -1). */
export const ownersOwn = 0xffff_ffff;

/** Who writes the files of a host. */
export type FileUser =
  /** The host itself, which is not root: all is its own. */
  | { readonly kind: "host" }
  /** The application's user, under a host that is root. */
  | { readonly kind: "application"; readonly uid: number; readonly gid: number }
  /** Root: numbers are kept. */
  | { readonly kind: "root" };

/** `application`: of `host.application.user`. */
export function fileUserOf(
  isRoot: boolean,
  application: { readonly uid: number; readonly gid: number } | undefined,
): FileUser {
  if (!isRoot) return { kind: "host" };
  return application === undefined
    ? { kind: "root" }
    : { kind: "application", uid: application.uid, gid: application.gid };
}

/** Returns attributes for the journal from those on the disk of a host. */
export function journaledAttributes({ mode, uid, gid }: FileAttributes, user: FileUser): FileAttributes {
  switch (user.kind) {
    case "host":
      return { mode, uid: ownersOwn, gid: ownersOwn };
    case "application":
      return { mode, uid: uid === user.uid ? ownersOwn : uid, gid: gid === user.gid ? ownersOwn : gid };
    case "root":
      return { mode, uid, gid };
  }
}

/** Returns what a file of the journal gets on a host; undefined: this host cannot give files away. */
export function ownerOnHost(
  { uid, gid }: FileAttributes,
  user: FileUser,
): { readonly uid: number; readonly gid: number } | undefined {
  if (user.kind === "host") return undefined;
  const own = user.kind === "application" ? user : { uid: 0, gid: 0 };
  return { uid: uid === ownersOwn ? own.uid : uid, gid: gid === ownersOwn ? own.gid : gid };
}
