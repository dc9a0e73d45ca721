/**
 * `host.application.user`: the application runs as another user than the host, which then is root. It can neither read
 * the cluster's secret and the host's memory, nor signal the host.
 *
 * The user is looked up once, when the host starts, so that no start during a failover waits for a directory service;
 * it is taken by setpriv(1), which sets groups, group and user, and leaves no capability. Neither of the runtime's own
 * ways sets supplementary groups. Only the application and its stop command run as that user: the watcher's shell and
 * readers stay with the host, and the application cannot end them.
 *
 * Only root will do, and not a user with CAP_SETUID: SQLite gives `-wal` and `-shm` files that the host's connections
 * create the owner of their database only as root (os_unix.c, robustFchown), and the application could not open them
 * otherwise. Their mode is that of the database, whatever the umask (os_unix.c, findCreateFileMode, robust_open).
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { ApplicationUserConfig } from "../../config/types.ts";

export interface ApplicationUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary ones; with `gid`. */
  readonly groups: readonly number[];
  readonly home: string;
  readonly shell: string;
  /** Absolute path of setpriv(1). */
  readonly setpriv: string;
}

/** Why a user cannot be taken. */
export interface UserRefusal {
  readonly key: "application.user" | "application.group";
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

type Run = (command: readonly [string, ...string[]]) => string | undefined;

/** Looks the user and its groups up in the system's databases (getent(1), id(1)). */
export function resolveUser(
  { user, group }: Pick<ApplicationUserConfig, "user" | "group">,
  run: Run = output,
): ApplicationUser | UserRefusal {
  const setpriv = programOf("setpriv");
  if (setpriv === undefined) return noSetpriv;
  const [name, , uid, primary, , home, shell] = run(["getent", "passwd", user])?.split(":") ?? [];
  if (name === undefined || uid === undefined || primary === undefined) return unknown("user", user);
  if (Number(uid) === 0) return refusedRoot(user);
  const gid = group === undefined ? primary : run(["getent", "group", group])?.split(":")[2];
  if (gid === undefined) return unknown("group", group ?? "");
  const listed = run(["id", "-G", name])?.split(" ") ?? [];
  const groups = new Set([gid, ...listed.filter((id) => group === undefined || id !== primary)].map(Number));
  return {
    ...{ name, uid: Number(uid), gid: Number(gid), groups: [...groups].toSorted((a, b) => a - b) },
    ...{ home: home === undefined || home === "" ? "/" : home, shell: shell || "/bin/sh", setpriv },
  };
}

/** The same command as that user; undefined: as this process's own. */
export function commandAs(user: ApplicationUser | undefined, command: readonly string[]): readonly string[] {
  if (user === undefined) return command;
  const { setpriv, uid, gid, groups } = user;
  const ids = [`--reuid=${uid}`, `--regid=${gid}`, `--groups=${groups.join(",")}`];
  return [setpriv, ...ids, "--inh-caps=-all", "--ambient-caps=-all", "--", ...command];
}

export const environmentAs = (user: ApplicationUser | undefined): Readonly<Record<string, string>> =>
  user === undefined ? {} : { HOME: user.home, USER: user.name, LOGNAME: user.name, SHELL: user.shell };

function programOf(name: string): string | undefined {
  return (process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin")
    .split(delimiter)
    .filter((folder) => folder.startsWith("/"))
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function output([program, ...args]: readonly [string, ...string[]]): string | undefined {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return status === 0 ? stdout.split("\n")[0] : undefined;
}

const noSetpriv: UserRefusal = {
  key: "application.user",
  found: "no program setpriv in the PATH",
  accepted: "setpriv of util-linux, with which the host starts the application as another user",
  advice: "install util-linux (on Alpine the package setpriv), or leave the key out",
};

const unknown = (kind: "user" | "group", name: string): UserRefusal => ({
  key: `application.${kind}`,
  found: `"${name}", a ${kind} that this machine does not know`,
  accepted: `a ${kind} that \`getent ${kind === "user" ? "passwd" : "group"} ${name}\` finds`,
  advice: kind === "user" ? `useradd --system ${name}, or correct the name` : `groupadd ${name}, or correct the name`,
});

const refusedRoot = (name: string): UserRefusal => ({
  key: "application.user",
  found: `"${name}", whose user id is 0`,
  accepted: "a user that is not root",
  advice: "name a user of its own for the application; with root it could do everything that the host can",
});
