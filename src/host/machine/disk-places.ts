/** Where the canary writes on a host's disks, and its message about descriptors; the simulation has its own. */
import { access, constants, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { openFileLimit } from "../../runtime/open-file-limit.ts";
import type { LocalFolders } from "../secondary/local-data.ts";

/**
 * One file system of this host. `write` puts a few bytes there and syncs them; rejects with the error of the failed
 * call.
 */
export interface DiskPlace {
  /** As in a message: "the data folder /var/lib/notes". */
  readonly name: string;
  write(): Promise<void>;
  /** Removes what `write` left. Never rejects. */
  clear(): Promise<void>;
}

const canaryFile = ".stead-canary";
/** The data folder is the application's: a link or a pipe in place of the file must not lead this host elsewhere. */
const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;
const canaryFlags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK;

/**
 * The state folder and the data folder. If both are on one file system, one write suffices; the other folder is only
 * tested for permission, which a read-only mount answers with EROFS.
 */
export async function diskPlaces({
  dataFolder,
  stateFolder,
}: Pick<LocalFolders, "dataFolder" | "stateFolder">): Promise<DiskPlace[]> {
  const [data, state] = await Promise.all([stat(dataFolder), stat(stateFolder)]);
  const places = [place(`the state folder ${stateFolder}`, stateFolder)];
  const dataName = `the data folder ${dataFolder}`;
  if (data.dev !== state.dev) return [...places, place(dataName, dataFolder)];
  return [
    ...places,
    { name: dataName, write: () => access(dataFolder, constants.W_OK), clear: () => Promise.resolve() },
  ];
}

function place(name: string, folder: string): DiskPlace {
  const path = join(folder, canaryFile);
  return {
    name,
    write: async () => {
      const file = await open(path, canaryFlags, 0o600);
      try {
        await file.writeFile("a canary of stead: this file shows whether the disk accepts writes\n");
        await file.sync();
      } finally {
        await file.close();
      }
    },
    clear: () => rm(path, { force: true }).catch(() => undefined),
  };
}

/** Describes how many descriptors this process has and may have, as far as known. */
export async function describeDescriptors(): Promise<string> {
  const used = await readdir("/proc/self/fd").then(
    (names) => String(names.length),
    () => "all",
  );
  return `this process has ${used} of ${openFileLimit() ?? "its"} descriptors open; raise LimitNOFILE`;
}
