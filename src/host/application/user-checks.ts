/**
 * Whether the application can run as `host.application.user`, and what that user must not reach: at the start of a host
 * and for `stead config check`. The kernel answers, as that user: a shell is started as the application is, and its
 * ids, groups and capabilities are read back.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type FilePath, pathOf, textOf } from "../../capture/data-path.ts";
import type { HostConfig } from "../../config/types.ts";
import { cleanEnvironment } from "../../runtime/clean-environment.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { type ApplicationUser, commandAs, resolveUser } from "./application-user.ts";

export interface UserFinding {
  /** `refused`: it cannot work, or protects nothing. `warned`: it protects less. */
  readonly kind: "refused" | "warned";
  readonly key: "application.user" | "application.group";
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

/** The application cannot run as this user. */
export class ApplicationUserError extends OperatorError {
  constructor({ key, found, accepted, advice }: UserFinding) {
    super("configuration", { found: `host.${key}: ${found}`, accepted, advice });
  }
}

type Checked = Pick<HostConfig, "applicationUser" | "application" | "dataFolder" | "stateFolder" | "vaultUrl">;

export interface UserCheck {
  readonly user: ApplicationUser | undefined;
  readonly findings: readonly UserFinding[];
}

/** @param databases names of those that are in the data folder */
export function checkUser(config: Checked, databases: readonly string[]): UserCheck {
  const { applicationUser } = config;
  if (applicationUser === undefined) return { user: undefined, findings: [] };
  const missing = missingPower();
  if (missing !== undefined) return { user: undefined, findings: [refused(missing)] };
  const user = resolveUser(applicationUser);
  if (!("uid" in user)) return { user: undefined, findings: [{ kind: "refused", ...user }] };
  return { user, findings: [...ownership(config, user, databases), ...access(config, user)] };
}

/** Reports warnings; throws `ApplicationUserError` for a refusal. Returns undefined if none is configured. */
export function assertUser(
  config: Checked,
  databases: readonly string[],
  onWarning: (text: string) => void,
): ApplicationUser | undefined {
  const { user, findings } = checkUser(config, databases);
  for (const { kind, key, found, advice } of findings)
    if (kind === "warned") onWarning(`host.${key}: ${found}. ${advice}`);
  const refusal = findings.find(({ kind }) => kind === "refused");
  if (refusal !== undefined) throw new ApplicationUserError(refusal);
  return user;
}

type Said = Omit<UserFinding, "kind" | "key">;
const refused = (said: Said): UserFinding => ({ kind: "refused", key: "application.user", ...said });

/** Of capabilities(7), with their numbers. */
const needed = {
  CAP_CHOWN: 0n,
  CAP_DAC_OVERRIDE: 1n,
  CAP_FOWNER: 3n,
  CAP_KILL: 5n,
  CAP_SETGID: 6n,
  CAP_SETUID: 7n,
  CAP_SYS_PTRACE: 19n,
} as const;

function missingPower(): Said | undefined {
  const accepted = `root with ${Object.keys(needed).join(", ")}`;
  const own = process.geteuid?.();
  if (own !== 0)
    return {
      found: `this process runs as user ${own ?? "?"}`,
      accepted,
      advice: "run host and check as root (in a unit, User=root with these as CapabilityBoundingSet=), or leave it out",
    };
  const effective = BigInt(`0x${field("/proc/self/status", "CapEff") ?? "0"}`);
  const missing = Object.entries(needed).flatMap(([name, bit]) => ((effective >> bit) & 1n ? [] : [name]));
  return missing.length === 0
    ? undefined
    : {
        found: `root without ${missing.join(", ")}`,
        accepted,
        advice: "add them to CapabilityBoundingSet= of the unit, or to the capabilities of the container",
      };
}

/** A file of another owner would be one that the application cannot write, at the next failover at the latest. */
function ownership({ dataFolder }: Checked, user: ApplicationUser, databases: readonly string[]): UserFinding[] {
  const paths: FilePath[] = [dataFolder, ...databases.map((name) => pathOf(dataFolder, name))];
  const foreign = paths.flatMap((path) => {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats === undefined || stats.uid === user.uid ? [] : [`${textOf(path)}, which belongs to user ${stats.uid}`];
  });
  const [first] = foreign;
  if (first === undefined) return [];
  return [
    refused({
      found: `${first}${foreign.length > 1 ? ` (and ${foreign.length - 1} more)` : ""}`,
      accepted: `a data folder and databases of ${user.name} (${user.uid})`,
      advice: `chown -R ${user.uid}:${user.gid} ${dataFolder}`,
    }),
  ];
}

interface Question {
  /** A condition of a POSIX shell on "$1". */
  readonly test: string;
  readonly path: string;
  readonly answer: UserFinding;
}

function questions({ applicationUser, application, ...config }: Checked, name: string): Question[] {
  const { dataFolder, stateFolder, vaultUrl } = config;
  const { cwd, command } = application;
  const vault = vaultUrl.startsWith("file:") ? fileURLToPath(vaultUrl) : undefined;
  const must = (test: string, path: string, what: string, accepted: string, advice: string): Question => ({
    ...{ test, path },
    answer: refused({ found: `${path}, ${what} ${name}`, accepted, advice }),
  });
  const warned = (path: string, what: string): Question => ({
    ...{ test: '! [ -w "$1" ]', path },
    answer: {
      ...{ kind: "warned", key: "application.user" },
      found: `the ${what} ${path}, which ${name} can write`,
      accepted: "a folder that the application's user cannot write",
      advice: "Take the permission away: who writes there decides what this host believes.",
    },
  });
  const way = "let that user pass each folder on the way to it (chmod o+x), or name another";
  const there = existing(dataFolder);
  const writable = there === dataFolder ? '[ -w "$1" ] && cd "$1"' : 'cd "$1"';
  return [
    must(writable, there, "which is closed to", "a data folder that the application's user can write", way),
    must('cd "$1"', cwd, "the application's `cwd`, which is closed to", "a folder that the user can enter", way),
    ...(command[0].includes("/")
      ? [must('[ -x "$1" ]', command[0], "which cannot be executed by", "a program that the user can execute", way)]
      : []),
    ...(applicationUser?.privateFiles ?? []).map((path) =>
      must(
        '! [ -r "$1" ]',
        path,
        "which has a secret of the cluster and can be read by",
        "a file that the host alone can read",
        `chown root: ${path} && chmod 600 ${path}`,
      ),
    ),
    warned(existing(stateFolder), "state folder"),
    ...(vault === undefined ? [] : [warned(existing(vault), "vault")]),
  ];
}

const identityFields = ["Uid", "Gid", "Groups", "CapEff"] as const;
const script = `
cat /proc/self/status
while [ $# -gt 1 ]; do
  ask=$1 path=$2
  shift 2
  ( set -- "$path"; eval "$ask" ) >/dev/null 2>&1 && echo "answer: yes" || echo "answer: no"
done
`;

/** Returns what the user cannot reach, or can and must not. */
function access(config: Checked, user: ApplicationUser): UserFinding[] {
  const asked = questions(config, user.name);
  const [program = "", ...args] = commandAs(user, [
    ...["/bin/sh", "-c", script, "stead-user"],
    ...asked.flatMap(({ test, path }) => [test, path]),
  ]);
  const { stdout, stderr } = spawnSync(program, args, {
    cwd: "/",
    env: cleanEnvironment(process.env),
    encoding: "utf8",
  });
  const { uid, gid, groups, name } = user;
  const wanted = [repeated(uid), repeated(gid), groups.join(" "), "0000000000000000"];
  const found = identityFields.map((key) => fieldOf(stdout, key)?.trim().replaceAll("\t", " "));
  if (found.some((value, index) => value !== wanted[index]))
    return [
      refused({
        found:
          `that a program started as ${name} has ${identityFields.map((key, i) => `${key} ${found[i] ?? "?"}`).join(", ")} ${stderr.trim()}`.trim(),
        accepted: identityFields.map((key, i) => `${key} ${wanted[i] ?? ""}`).join(", "),
        advice: "look for what keeps this process from taking other users: a user namespace, a seccomp filter",
      }),
    ];
  const answers = [...stdout.matchAll(/^answer: (yes|no)$/gm)].map(([, answer]) => answer);
  return asked.flatMap(({ answer }, index) => (answers[index] === "yes" ? [] : [answer]));
}

const repeated = (id: number): string => Array(4).fill(id).join(" ");

const fieldOf = (text: string, name: string): string | undefined =>
  new RegExp(`^${name}:[\\t ]*(.*)$`, "m").exec(text)?.[1];

function field(path: string, name: string): string | undefined {
  try {
    return fieldOf(readFileSync(path, "latin1"), name);
  } catch {
    return undefined;
  }
}

function existing(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : existing(dirname(folder));
}
