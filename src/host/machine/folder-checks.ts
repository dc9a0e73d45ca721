/**
 * Checks whether the folders of a host are suitable, before anything is moved there: at the start of a host and for
 * `stead config check`. A missing folder is judged by its nearest existing parent.
 */
import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { networkFileSystem } from "../../capture/network-fs.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { LocalFolders } from "../secondary/local-data.ts";

export interface FolderFinding {
  /** `refused`: it cannot work. `warned`: it costs something, or may surprise. */
  readonly kind: "refused" | "warned";
  /** Its key in [host]. */
  readonly key: "data" | "state" | "set_aside";
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

/** A folder of this host cannot work at its place. */
export class FolderPlaceError extends OperatorError {
  constructor({ key, found, accepted, advice }: FolderFinding) {
    super("configuration", { found: `host.${key}: ${found}`, accepted, advice });
  }
}

export function checkFolderPlaces(
  { dataFolder, stateFolder, setAsideFolder }: LocalFolders,
  typeOf = (path: string): number => statfsSync(path).type,
): FolderFinding[] {
  const folders = [
    ["data", dataFolder],
    ["state", stateFolder],
    ["set_aside", setAsideFolder],
  ] as const;
  const findings: FolderFinding[] = [];
  const dataDevice = statSync(existing(dataFolder)).dev;
  for (const [key, folder] of folders) {
    const there = existing(folder);
    const network = process.platform === "linux" ? networkFileSystem(typeOf(there)) : undefined;
    if (network !== undefined) findings.push(onNetwork(key, folder, network));
    const why = whyNotWritable(there);
    if (why !== undefined)
      findings.push({
        kind: "refused",
        key,
        found: `${folder}, where this user cannot write (${why} at ${there})`,
        accepted: "a folder that the host's user can write to",
        advice:
          "Mount it read-write, give the user write permission, or name another folder; run the check as the user that runs the host.",
      });
    if (key !== "data" && statSync(there).dev !== dataDevice) findings.push(elsewhere(key, folder, dataFolder));
  }
  return findings;
}

/** Reports warnings; throws `FolderPlaceError` for a refusal. */
export function assertFolderPlaces(folders: LocalFolders, onWarning: (text: string) => void): void {
  const findings = checkFolderPlaces(folders);
  for (const { kind, key, found, advice } of findings)
    if (kind === "warned") onWarning(`host.${key}: ${found}. ${advice}`);
  const refused = findings.find(({ kind }) => kind === "refused");
  if (refused !== undefined) throw new FolderPlaceError(refused);
}

function onNetwork(key: FolderFinding["key"], folder: string, network: string): FolderFinding {
  const found = `${network} under ${folder}`;
  if (key === "data")
    return {
      kind: "refused",
      key,
      found,
      accepted: "a local file system (ext4, xfs, btrfs, zfs, tmpfs, …)",
      advice: "Keep the application's data folder on a local disk; only the vault belongs on shared storage.",
    };
  return {
    kind: "warned",
    key,
    found,
    accepted: "a local file system",
    advice:
      "If it hangs, this host hangs with it, and its lock excludes a second host only if that file system's locks work.",
  };
}

const elsewhere = (key: FolderFinding["key"], folder: string, dataFolder: string): FolderFinding => ({
  kind: "warned",
  key,
  found: `${folder} on another file system than the data folder ${dataFolder}`,
  accepted: "either; one file system costs less",
  advice: "A restore copies there instead of renaming: it takes time and space in proportion to the databases.",
});

function whyNotWritable(folder: string): string | undefined {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

function existing(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : existing(dirname(folder));
}
