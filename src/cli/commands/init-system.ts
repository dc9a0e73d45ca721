/**
 * `stead init --etc`: where files belong that the units in examples/systemd run with, and whose they are. The
 * configuration is root's and readable; the secret and private keys are the user's alone; databases are in the state
 * folder, which is the user's, as is a vault that is made with them.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";

export const systemFolder = "/etc/stead";
export const systemState = "/var/lib/stead";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Defaults of a file for the units. `data`: name of the data folder. */
export const systemPlaces = (state: string, service: string, data: string) => ({
  data: join(state, data),
  database: join(state, "gateway.db"),
  // The unit of a host lets it write there (ReadWritePaths).
  vault: `/mnt/vault/${service}`,
});

/** Throws OperatorError if there is no such user, or if this process may not give files to it. */
export function findAccount(name: string): Account {
  const [, , uid, gid] = spawnSync("getent", ["passwd", name], { encoding: "utf8" }).stdout?.trim().split(":") ?? [];
  if (uid === undefined || gid === undefined)
    throw new OperatorError("resource", {
      found: `there is no user "${name}"; nothing was written`,
      accepted: "the user that the units name (User=)",
      advice: `useradd --system --home-dir ${systemState} --shell /usr/sbin/nologin ${name}, with the same uid on every host`,
    });
  const own = process.geteuid?.() ?? 0;
  if (own !== 0 && own !== Number(uid))
    throw new OperatorError("resource", {
      found: `this user cannot give files to "${name}"; nothing was written`,
      accepted: "root, or that user",
      advice: "run it with sudo",
    });
  return { name, uid: Number(uid), gid: Number(gid) };
}

export interface SystemFiles {
  readonly folder: string;
  readonly state: string;
  /** Files that anyone may read. */
  readonly open: readonly string[];
  /** Files with secrets. */
  readonly secret: readonly string[];
  /** Folder of a vault that was made; undefined: none was. */
  readonly vault: string | undefined;
}

/** Returns what it did, a line each. */
export function giveFiles({ folder, state, open, secret, vault }: SystemFiles, account: Account): string[] {
  const { name, uid, gid } = account;
  const made = !existsSync(state);
  mkdirSync(state, { recursive: true });
  chmodSync(state, 0o700);
  chownSync(state, uid, gid);
  chmodSync(folder, 0o755);
  for (const path of open) chmodSync(path, 0o644);
  for (const path of secret) {
    chmodSync(path, 0o600);
    chownSync(path, uid, gid);
  }
  return [
    `${made ? "made" : "gave"} ${state} (mode 0700, user ${name})`,
    `gave ${secret.join(", ")} (mode 0600, user ${name})`,
    ...(vault === undefined ? [] : [giveVault(vault, account)]),
  ];
}

/** The server of a shared folder may keep root from giving files away. */
function giveVault(folder: string, { name, uid, gid }: Account): string {
  try {
    for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" }))
      chownSync(join(folder, path), uid, gid);
    chownSync(folder, uid, gid);
    return `gave ${folder} (user ${name})`;
  } catch (error) {
    return `could not give ${folder} to ${name} (${messageOf(error)}): do it on the server of that folder, with chown -R ${uid}:${gid}`;
  }
}
