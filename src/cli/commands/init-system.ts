/**
 * `stead init --etc`: where files belong that the units in examples/systemd run with, and whose they are. The
 * configuration is root's and readable; the secret and private keys are the user's alone; databases are in the state
 * folder, which is the user's.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { OperatorError } from "../../runtime/operator-error.ts";

export const systemFolder = "/etc/stead";
export const systemState = "/var/lib/stead";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Defaults of a file for the units. */
export const systemPlaces = (state: string, service: string) => ({
  data: join(state, "data"),
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
}

/** Returns what it did, a line each. */
export function giveFiles({ folder, state, open, secret }: SystemFiles, { name, uid, gid }: Account): string[] {
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
  ];
}
