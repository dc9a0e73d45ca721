/**
 * The place of a rehearsal on this machine: a folder in the host's state, with a separate mark and cgroup.
 *
 *   <state>/rehearsal/          the mark; there as long as something of a rehearsal may be left
 *   <state>/rehearsal/data/     the copy, `STEAD_DATA` of the application
 *
 * Nothing of it survives: processes are removed first (leftovers.ts), then the folder. The next start of a host clears
 * what a dead one left, by the mark that is still there.
 *
 * The application must not touch the replica. It only learns of the copy: wherever its command, its environment or its
 * working folder name the data folder, they name the copy. If it finds the data folder in another way (its own file, a
 * relative path), the companions that SQLite creates beside an opened database reveal it (`strays`): nothing else
 * creates them on a secondary.
 */
import { chownSync, existsSync, mkdirSync } from "node:fs";
import { chmod, lchown, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pathOf, textOf, withSuffix } from "../../capture/data-path.ts";
import type { ApplicationConfig, HostConfig } from "../../config/types.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { ApplicationUser } from "./application-user.ts";
import { Supervisor } from "./supervisor.ts";
import { copyDatabases, copyFiles } from "./database-copy.ts";
import { completeFiles, pathsOfFiles } from "./file-copy.ts";
import { OutputTail } from "./output-tail.ts";
import { type ApplicationScope, openScope } from "./scope.ts";

/** Events of a rehearsed application. */
export interface Audience {
  /** It ended after it was ready. */
  readonly onGaveUp: (reason: string) => void;
  readonly onWarning: (text: string) => void;
}

export interface RehearsedApplication {
  /** Rejects with what prevented readiness. */
  start(port: number): Promise<void>;
  stop(): Promise<void>;
  /** The signal is sent before this returns. */
  kill(): Promise<void>;
  /** The end of its output; complete once it has ended. */
  lastOutput(): Promise<string>;
}

/** The parts of the machine that a host needs for a rehearsal. */
export interface RehearsalGround {
  /**
   * Copies these databases of the replica, and the files beside them, which do not change meanwhile. Rejects if there
   * is no space, and with the signal's reason.
   */
  copy(databases: readonly string[], signal: AbortSignal, files?: FileTree): Promise<void>;
  application(audience: Audience): RehearsedApplication;
  /**
   * Returns databases of the replica that are open, or were when a process was killed: paths, empty if only the copy
   * was used.
   */
  strays(databases: readonly string[]): readonly string[];
  /** Resolves when nothing is left: no process, no folder. */
  clear(): Promise<void>;
}

export interface RehearsalGroundOptions {
  readonly config: Pick<HostConfig, "dataFolder" | "stateFolder" | "application" | "secret">;
  /** undefined: the host's own. */
  readonly user?: ApplicationUser | undefined;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly freePort: () => Promise<number>;
  readonly onWarning: (text: string) => void;
}

/** Tells the application that this is a rehearsal: background jobs with outside effects can be skipped. */
const rehearsalVariable = "STEAD_REHEARSAL";
/** Whatever the data folder's permissions are, only the owner can read the copy. */
const ownerOnly = 0o700;
/** For an application that runs as another user: its copy is below. */
const passable = 0o711;
/** The host's own secrets, beside the cluster's. */
const secretVariables = ["STEAD_SECRET", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] as const;
/** For an application that has ended; an escaped process may have its output open for longer. */
const outputEndMsMax = 500;
const companions = ["-wal", "-shm", "-journal"] as const;

export class MachineRehearsalGround implements RehearsalGround {
  readonly #options: RehearsalGroundOptions;
  readonly #folder: string;
  readonly #copy: string;
  #scope: ApplicationScope | undefined;

  constructor(options: RehearsalGroundOptions) {
    this.#options = options;
    this.#folder = join(options.config.stateFolder, "rehearsal");
    this.#copy = join(this.#folder, "data");
  }

  async copy(databases: readonly string[], signal: AbortSignal, files?: FileTree): Promise<void> {
    await mkdir(this.#copy, { recursive: true, mode: ownerOnly });
    const { dataFolder } = this.#options.config;
    await copyDatabases(databases, dataFolder, this.#copy, signal);
    await copyFiles(pathsOfFiles(files, dataFolder), dataFolder, this.#copy, signal);
    if (files !== undefined) await completeFiles(files, dataFolder, this.#copy);
    await this.#giveCopy();
  }

  application({ onGaveUp, onWarning }: Audience): RehearsedApplication {
    const { config, clock, rules, freePort, user } = this.#options;
    const output = new OutputTail([config.secret, ...secretVariables.flatMap((name) => process.env[name] ?? [])]);
    const supervisor = new Supervisor({
      application: rehearsed(config.application, config.dataFolder, this.#copy, user),
      user,
      dataFolder: this.#copy,
      scope: this.#openScope(),
      ...{ clock, rules, freePort, output, onGaveUp, onWarning },
      requests: { size: 0, traffic: () => 0, oldest: () => [] },
      commits: () => 0,
      onChange: () => undefined,
    });
    return {
      start: (port) => supervisor.start(port),
      stop: () => supervisor.stop(),
      kill: () => supervisor.kill(),
      lastOutput: async () => {
        const late = new AbortController();
        await Promise.race([output.ended, clock.sleep(outputEndMsMax, late.signal).catch(() => undefined)]);
        late.abort();
        return output.text;
      },
    };
  }

  strays(databases: readonly string[]): readonly string[] {
    const { dataFolder } = this.#options.config;
    const paths = databases.map((name) => pathOf(dataFolder, name));
    return paths.filter((path) => companions.some((suffix) => existsSync(withSuffix(path, suffix)))).map(textOf);
  }

  async clear(): Promise<void> {
    if (!existsSync(this.#folder)) return;
    await this.#openScope().leftovers.clear("everywhere");
    this.#scope = undefined;
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** The copy alone: the folder above has the mark, which is the host's. */
  async #giveCopy(): Promise<void> {
    const { user } = this.#options;
    if (user === undefined) return;
    await chmod(this.#folder, passable);
    const entries = await readdir(this.#copy, { recursive: true, encoding: "buffer" });
    const inCopy = (name: Buffer): Buffer => Buffer.concat([Buffer.from(`${this.#copy}/`), name]);
    for (const path of [this.#copy, ...entries.map(inCopy)]) await lchown(path, user.uid, user.gid);
  }

  #openScope(): ApplicationScope {
    mkdirSync(this.#folder, { recursive: true, mode: ownerOnly });
    const { clock, rules, onWarning } = this.#options;
    this.#scope ??= openScope(
      { stateFolder: this.#folder, dataFolder: this.#copy },
      { databases: () => Promise.resolve([]), clock, rules, onWarning },
    );
    return this.#scope;
  }
}

/** Returns the same application on the copy, to be started once. */
function rehearsed(
  application: ApplicationConfig,
  dataFolder: string,
  copy: string,
  user: ApplicationUser | undefined,
): ApplicationConfig {
  const named = new RegExp(`${dataFolder.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}(?![\\w.-])`, "g");
  const there = (text: string): string => text.replaceAll(named, () => copy);
  const { command, cwd, env, stopCommand } = application;
  const [program, ...args] = command;
  const folder = there(cwd);
  if (folder !== cwd && mkdirSync(folder, { recursive: true }) !== undefined && user !== undefined)
    chownSync(folder, user.uid, user.gid);
  return {
    ...application,
    command: [there(program), ...args.map(there)],
    cwd: folder,
    env: {
      ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, there(value)])),
      [rehearsalVariable]: "1",
    },
    stopCommand: stopCommand?.map(there),
    restartsMax: 0,
  };
}
