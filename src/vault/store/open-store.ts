/**
 * Opens the vault at a URL, after proving that the place meets the store's contract.
 *
 * It creates only subfolders: a folder without an identity is refused, because an empty mount point (the share is not
 * mounted) must never be taken for an empty vault. Only `createVault` makes a new one.
 */
import { randomBytes } from "node:crypto";
import fs from "node:fs/promises";
import { isAbsolute, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { shareWithGroup } from "../../runtime/umask.ts";
import { NotAVaultError } from "../errors.ts";
import { errnoOf, storeErrorOf } from "./fs-error.ts";
import { probeFolder } from "./fs-probe.ts";
import { FsStore } from "./fs-store.ts";
import { temporaryFolder } from "./fs-temporaries.ts";
import { ensureIdentity, type IdentityOptions } from "./identity.ts";
import { copyMarkerKey, identityKey } from "../keys.ts";
import { StoreError } from "./store.ts";

/** Its objects may be read and removed through the folders below it, so none of these leads elsewhere. */
async function assertNoLinks(folder: string): Promise<void> {
  for (const entry of await fs.readdir(folder, { withFileTypes: true })) {
    if (
      !entry.isSymbolicLink() ||
      ![...subfolders, ...laterSubfolders, ...segmentSubfolders, identityKey, copyMarkerKey].includes(entry.name)
    )
      continue;
    throw new StoreError(
      "unsuitable",
      `${entry.name} in the vault ${folder} is a symbolic link`,
      "Only the vault's folder itself may be reached through links: put a folder in place of the link, or mount one there.",
    );
  }
}

const groupWrites = 0o020;
const subfolders = [temporaryFolder, "log", "checkpoints", "chunks", "boundary"];
/** Made when they are needed. */
const laterSubfolders = ["keys", "exclusions", "probes"];
/** Made when they are needed. */
const segmentSubfolders = ["claims", "seals", "marks", "segments", "large"];

/** No options yet for folders; S3 will have its credentials here. */
export type OpenStoreOptions = Readonly<Record<never, never>>;

/**
 * @param url `file:///absolute/path`, or an absolute path.
 * Throws NotAVaultError (missing, empty, not mounted) and StoreError (`denied`, `full`, `unsuitable`, …), with advice.
 */
export async function openStore(url: string, _options: OpenStoreOptions = {}): Promise<FsStore> {
  const folder = folderOf(url);
  await assertFolder(folder, url);
  try {
    await fs.access(join(folder, identityKey));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw new NotAVaultError(url, `it has no ${identityKey}`, { cause: error });
    throw storeErrorOf(error, `cannot read ${identityKey} in ${url}`, "before");
  }
  return openFolder(folder);
}

/**
 * Opens a folder for a copy of a vault. It exists already: one below the mount point of a disk is missing while the
 * disk is not mounted. Throws as `openStore`, and StoreError for a folder with something else.
 */
export async function openCopyFolder(url: string): Promise<FsStore> {
  const folder = folderOf(url);
  try {
    await assertFolder(folder, url);
  } catch (error) {
    if (!(error instanceof NotAVaultError)) throw error;
    throw new StoreError(
      "unsuitable",
      `there is no folder ${folder} for a copy of the vault`,
      "Is its disk mounted? Make the folder, below the mount point; a host does not.",
      { cause: error },
    );
  }
  await assertOnlyVault(folder);
  return openFolder(folder);
}

/**
 * Makes a new vault for a service: the folder (its parent exists), its subfolders, its identity. Repeated for the same
 * service it opens the vault; a folder with other contents is refused, another service's vault throws
 * ForeignVaultError.
 */
export async function createVault(url: string, service: string, options: IdentityOptions = {}): Promise<FsStore> {
  const folder = folderOf(url);
  try {
    await fs.mkdir(folder);
  } catch (error) {
    if (errnoOf(error) === "ENOENT")
      throw new StoreError(
        "unsuitable",
        `cannot make ${folder}: its parent folder does not exist`,
        "First create the parent folder, or mount the shared area there.",
      );
    if (errnoOf(error) !== "EEXIST") throw storeErrorOf(error, `cannot make the folder ${folder}`, "before");
  }
  await assertFolder(folder, url);
  await assertOnlyVault(folder);
  const store = await openFolder(folder);
  try {
    if (options.log === "segments") assertSegmentsWork(store);
    await ensureIdentity(store, service, options);
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

/** Throws StoreError `unsuitable` if the folder has something that belongs to no vault. */
async function assertOnlyVault(folder: string): Promise<void> {
  const known = [identityKey, copyMarkerKey, "lost+found", ...subfolders, ...laterSubfolders, ...segmentSubfolders];
  const strange = (await fs.readdir(folder)).filter((name) => !known.includes(name));
  if (strange.length === 0) return;
  throw new StoreError(
    "unsuitable",
    `${folder} is not empty: it has ${strange.slice(0, 3).join(", ")}`,
    "Give the vault its own folder.",
  );
}

/** Throws StoreError `unsuitable`. */
function assertSegmentsWork(store: FsStore): void {
  if (store.files === undefined)
    throw new StoreError(
      "unsuitable",
      `${store.url} may be shared with other machines, and a log in segments needs one kernel`,
      "Make the vault without --log segments.",
    );
}

function folderOf(url: string): string {
  const isFileUrl = url.startsWith("file:");
  const other = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0];
  if (!isFileUrl && other !== undefined)
    throw new StoreError(
      "unsuitable",
      `a vault at ${other} is not supported`,
      "Accepted are file:///absolute/path and an absolute path.",
    );
  let path: string;
  try {
    path = isFileUrl ? fileURLToPath(url) : url;
  } catch (error) {
    throw new StoreError("unsuitable", `${url} is not a file URL`, "Write file:///absolute/path.", { cause: error });
  }
  if (!isAbsolute(path))
    throw new StoreError(
      "unsuitable",
      `the vault's path ${path} is relative`,
      "Write an absolute path: hosts start in different folders.",
    );
  const clean = normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

async function assertFolder(folder: string, url: string): Promise<void> {
  try {
    if (!(await fs.stat(folder)).isDirectory()) throw new NotAVaultError(url, "it is not a folder");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw new NotAVaultError(url, "there is no such folder", { cause: error });
    if (error instanceof NotAVaultError) throw error;
    throw storeErrorOf(error, `cannot look at ${folder}`, "before");
  }
}

/** Returns why others on this machine can read the vault, in words; undefined: they cannot. */
export async function whyReadableByOthers(url: string): Promise<string | undefined> {
  const folder = folderOf(url);
  const mode = (await fs.stat(folder)).mode & 0o777;
  if ((mode & 0o007) === 0) return undefined;
  return `found: the vault ${folder} has mode ${mode.toString(8).padStart(4, "0")}, which lets others on this machine read the rows of your databases; accepted: mode 0700, or 0770 for hosts that share it by a group; do: chmod o-rwx ${folder}`;
}

async function openFolder(folder: string): Promise<FsStore> {
  // Hosts with different users share a vault by its group.
  if (((await fs.stat(folder)).mode & groupWrites) !== 0) shareWithGroup();
  for (const name of subfolders) {
    try {
      await fs.mkdir(join(folder, name));
    } catch (error) {
      if (errnoOf(error) !== "EEXIST")
        throw storeErrorOf(error, `cannot make the folder ${name} in ${folder}`, "before");
    }
  }
  await assertNoLinks(folder);
  const { network } = await probeFolder(folder, `probe-${process.pid}-${randomBytes(8).toString("hex")}`);
  const store = new FsStore({ folder, network });
  return store;
}
