/**
 * File systems that lose power: each is on a disk of `lossy-disks.c`, reached through a loop device, so that a real
 * ext4 or xfs with its journal and barriers stands between stead and what is lost. A janitor unmounts everything when
 * its input ends, so also when this process is killed. Needs root, /dev/fuse, loop devices and gcc.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { systemClock } from "../../src/runtime/clock.ts";

export const fileSystems = ["ext4", "xfs"] as const;
export type FileSystem = (typeof fileSystems)[number];

/**
 * When power fails: a write is in the cache; a flush has no effect yet; a flush is done and not yet answered; so many
 * writes are in the cache that no flush has covered.
 */
export const failureMoments = ["write", "flush", "answer", "uncovered"] as const;

export interface PowerFailure {
  readonly seed: number;
  /** Of writes, or flushes, of the first disk. */
  readonly count: number;
  readonly moment: (typeof failureMoments)[number];
  readonly disks: readonly [string, ...string[]];
}

/** Writes that no flush had covered, and what was left of them. */
export interface WritesAtRisk {
  readonly atRisk: number;
  readonly present: number;
  readonly absent: number;
  readonly torn: number;
}

/** A line that a caller waits for. */
interface Answer {
  readonly begin: string;
  readonly resolve: (line: string) => void;
  readonly reject: (error: Error) => void;
}

const diskMiB = 2048;
const unmountWithinMs = 20_000;
const unmountEveryMs = 10;
const run = promisify(execFile);

const makers: Readonly<Record<FileSystem, readonly [string, ...string[]]>> = {
  // Small, and complete: nothing is initialised in the background later.
  ext4: ["mkfs.ext4", "-q", "-F", "-K", "-m", "0", "-N", "65536", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
  xfs: ["mkfs.xfs", "-q", "-f", "-K"],
};

/** What this machine lacks; undefined: nothing. */
export function missingForLossyDisks(fileSystem: FileSystem): string | undefined {
  if (process.platform !== "linux") return "FUSE and loop devices as on Linux";
  if (process.getuid?.() !== 0) return "root, for mounts and loop devices";
  if (!existsSync("/dev/fuse")) return "/dev/fuse";
  if (!existsSync("/dev/loop-control")) return "/dev/loop-control";
  if (!existsSync("/usr/include/linux/fuse.h")) return "linux/fuse.h (package linux-libc-dev)";
  const packages = { gcc: "gcc", mount: "mount", "mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs" } as const;
  for (const program of ["gcc", "mount", `mkfs.${fileSystem}`] as const)
    if (spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0)
      return `${program} (package ${packages[program]})`;
  return undefined;
}

export class LossyDisks {
  readonly #folder: string;
  readonly #server: ChildProcess;
  readonly #janitor: ChildProcess;
  readonly #fileSystem: FileSystem;
  readonly #mountPoints: ReadonlyMap<string, string>;
  #waiting: Answer[] = [];
  #failed: Promise<WritesAtRisk> | undefined;

  private constructor(
    folder: string,
    server: ChildProcess,
    fileSystem: FileSystem,
    mountPoints: ReadonlyMap<string, string>,
  ) {
    this.#folder = folder;
    this.#server = server;
    this.#fileSystem = fileSystem;
    this.#mountPoints = mountPoints;
    // Lazily: a process that still has files there ends without them.
    const clean = 'cat >/dev/null; for at; do umount -l "$at"; done';
    const places = [...mountPoints.values(), join(folder, "disks")];
    this.#janitor = spawn("sh", ["-c", clean, "sh", ...places], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#janitor.unref();
    if (server.stdout !== null) createInterface({ input: server.stdout }).on("line", (line) => this.#receive(line));
    server.once("exit", () => this.#refuseAll("the program of the disks has ended"));
  }

  /**
   * Makes one disk for each mount point, by name, with an empty file system, and mounts it. `folder` gets the program
   * and its files.
   */
  static async open(
    folder: string,
    fileSystem: FileSystem,
    mountPoints: ReadonlyMap<string, string>,
  ): Promise<LossyDisks> {
    const images = join(folder, "disks");
    mkdirSync(images);
    const program = join(folder, "lossy-disks");
    await run("gcc", ["-O2", "-Wall", "-o", program, join(import.meta.dirname, "lossy-disks.c")]);
    const server = spawn(program, [images, String(diskMiB), ...mountPoints.keys()], {
      detached: true,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const disks = new LossyDisks(folder, server, fileSystem, mountPoints);
    try {
      await disks.#line("ready");
      const [maker, ...options] = makers[fileSystem];
      for (const [name, mountPoint] of mountPoints) {
        await run(maker, [...options, disks.#image(name)]);
        mkdirSync(mountPoint);
        await disks.#mount(name);
      }
      return disks;
    } catch (error) {
      await disks.close();
      throw error;
    }
  }

  /** Once it resolves, power fails when the moment comes. Called again, it changes a moment that has not come. */
  async arm({ seed, count, moment, disks }: PowerFailure): Promise<void> {
    this.#failed ??= this.#line("failed").then((line) => {
      const [atRisk = 0, present = 0, absent = 0, torn = 0] = line.split(" ").slice(1).map(Number);
      return { atRisk, present, absent, torn };
    });
    // `failed` says why.
    this.#failed.catch(() => undefined);
    await this.#ask(`arm ${seed} ${count} ${moment} ${disks.join(" ")}`, "armed");
  }

  /** Resolves when power has failed. From then on every use of the disks waits. */
  async failed(): Promise<WritesAtRisk> {
    if (this.#failed === undefined) throw new Error("no failure was armed");
    const writes = await this.#failed;
    this.#failed = undefined;
    return writes;
  }

  /** Uses that wait fail, so that processes that were killed can end. */
  async end(disks: readonly string[]): Promise<void> {
    await this.#ask(`end ${disks.join(" ")}`, "ended");
  }

  /** Mounts what the failure has left, after `end`. */
  async restart(disks: readonly string[]): Promise<void> {
    for (const name of disks) await this.#unmount(this.#mountPointOf(name));
    await this.#ask(`begin ${disks.join(" ")}`, "began");
    for (const name of disks) await this.#mount(name);
  }

  /** Makes durable what is on a disk. */
  async sync(name: string): Promise<void> {
    await run("sync", ["-f", this.#mountPointOf(name)]);
  }

  async close(): Promise<void> {
    for (const [child, input] of [
      [this.#janitor, this.#janitor.stdin],
      [this.#server, this.#server.stdin],
    ] as const) {
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      if (child.exitCode !== null || child.signalCode !== null) continue;
      input?.end();
      await ended;
    }
  }

  async #mount(name: string): Promise<void> {
    // Not `mount -o loop`: that may use a loop device that still has the file open from before a failure.
    const script =
      'at=$(losetup -f --show "$3") && mount -t "$1" -o "$2" "$at" "$4"; code=$?; losetup -d "$at"; exit $code';
    const [type, options] = this.#fileSystem === "xfs" ? ["xfs", "nouuid"] : ["ext4", "defaults"];
    await run("sh", ["-c", script, "sh", type, options, this.#image(name), this.#mountPointOf(name)]);
  }

  /** A process that was killed may take a moment to end. */
  async #unmount(mountPoint: string): Promise<void> {
    const until = systemClock.now() + unmountWithinMs;
    for (;;) {
      try {
        await run("umount", [mountPoint]);
        return;
      } catch (error) {
        if (systemClock.now() > until) throw error;
        await systemClock.sleep(unmountEveryMs);
      }
    }
  }

  #image(name: string): string {
    return join(this.#folder, "disks", name);
  }

  #mountPointOf(name: string): string {
    const mountPoint = this.#mountPoints.get(name);
    if (mountPoint === undefined) throw new Error(`no disk is named ${name}`);
    return mountPoint;
  }

  async #ask(command: string, answer: string): Promise<void> {
    const line = this.#line(answer);
    this.#server.stdin?.write(`${command}\n`);
    await line;
  }

  /** The program's next line that begins so, and that no earlier caller waits for. */
  #line(begin: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#server.exitCode !== null || this.#server.signalCode !== null)
        reject(new Error("the program of the disks has ended"));
      else this.#waiting.push({ begin, resolve, reject });
    });
  }

  /** A failure is said when it comes, between the answers to commands. */
  #receive(line: string): void {
    const index = this.#waiting.findIndex(({ begin }) => line.startsWith(begin));
    if (index < 0) this.#refuseAll(`the program of the disks said ${line}, for which nothing waits`);
    else this.#waiting.splice(index, 1)[0]?.resolve(line);
  }

  #refuseAll(reason: string): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const answer of waiting) answer.reject(new Error(reason));
  }
}
