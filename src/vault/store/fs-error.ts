/**
 * The meaning of a file system call's errno for a store operation.
 *
 * Callers say whether the call could have made the object visible: only then can its failure be `ambiguous`.
 */
import { StoreError, type StoreErrorKind } from "./store.ts";

export function errnoOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "code" in error && typeof error.code === "string")
    return error.code;
  return "UNKNOWN";
}

/** - `before`: nothing can be visible yet. - `visible`: the call that failed may have taken effect, now or later. */
export type Stage = "before" | "visible";

export function storeErrorOf(error: unknown, what: string, stage: Stage): StoreError {
  if (error instanceof StoreError) return error;
  const code = errnoOf(error);
  const { kind, advice } = meaningOf(code);
  const certain = kind !== "unavailable" || stage === "before";
  return new StoreError(certain ? kind : "ambiguous", `${what}: ${code}`, advice, { cause: error });
}

/** True if the error proves that the call did nothing, whatever its stage. */
export const isDefinite = (error: unknown): boolean => meaningOf(errnoOf(error)).kind !== "unavailable";

function meaningOf(code: string): { readonly kind: StoreErrorKind; readonly advice: string } {
  switch (code) {
    case "ENOSPC":
      return { kind: "full", advice: "Free space on the shared area; it continues by itself then." };
    case "EDQUOT":
      return { kind: "full", advice: "Raise the quota of the shared area; it continues by itself then." };
    case "EROFS":
      return { kind: "denied", advice: "The shared area is mounted read-only: mount it read-write." };
    case "EACCES":
    case "EPERM":
      return {
        kind: "denied",
        advice: "Give the user that runs stead read and write permission on the vault's folder.",
      };
    case "EXDEV":
    case "ENOTSUP":
    case "EOPNOTSUPP":
    case "ENOSYS":
    case "EMLINK":
      return {
        kind: "unsuitable",
        advice:
          "The vault needs one file system with hard links (NFS, ext4, XFS, ...); SMB shares need the unix extensions.",
      };
    case "ENOTDIR":
    case "ENAMETOOLONG":
    case "ELOOP":
      return { kind: "unsuitable", advice: "The vault needs a separate folder with nothing else in it." };
    case "ESTALE":
      return {
        kind: "unavailable",
        advice: "The shared area was re-exported or replaced; remount it if this persists.",
      };
    default:
      return {
        kind: "unavailable",
        advice: "Is the server of the shared area up and reachable? It continues by itself then.",
      };
  }
}
