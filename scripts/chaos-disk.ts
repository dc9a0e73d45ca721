/**
 * A small file system of its own for the vault, a host or a gateway (an image file, mounted), so that it can be frozen,
 * slowed down and filled for real. A janitor thaws and unmounts it when its input ends, so also when this process is
 * killed. Needs root and loop devices.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { systemClock } from "../src/runtime/clock.ts";

const run = promisify(execFile);
/** The image is sparse: only what is written takes space. */
const sizeMiB = 1024;
const ballastChunkBytes = 256 * 1024;

export class SmallDisk {
  readonly #mountPoint: string;
  readonly #janitor: ChildProcess;
  #slowing: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;

  private constructor(mountPoint: string, janitor: ChildProcess) {
    this.#mountPoint = mountPoint;
    this.#janitor = janitor;
  }

  /** Undefined, with the reason said, where this machine refuses it. */
  static async mount(image: string, mountPoint: string, say: (line: string) => void): Promise<SmallDisk | undefined> {
    mkdirSync(mountPoint);
    const script = `truncate -s ${sizeMiB}M "$1" && mkfs.ext4 -q -m 0 "$1" && mount -o loop "$1" "$2" && command -v fsfreeze`;
    const tried = spawnSync("sh", ["-c", script, "sh", image, mountPoint], { encoding: "utf8" });
    if (tried.status !== 0) {
      say(
        `${mountPoint} has no disk of its own (${tried.stderr.trim().split("\n").at(-1) ?? ""}): it is not frozen and not filled`,
      );
      return undefined;
    }
    const clean = 'cat >/dev/null; fsfreeze -u "$1"; umount -l "$1"; rmdir "$1"; rm -f "$2"';
    const janitor = spawn("sh", ["-c", clean, "sh", mountPoint, image], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    janitor.unref();
    return new SmallDisk(mountPoint, janitor);
  }

  /** Every write waits until `thaw`. */
  async freeze(): Promise<void> {
    await run("fsfreeze", ["-f", this.#mountPoint]);
  }

  async thaw(): Promise<void> {
    await run("fsfreeze", ["-u", this.#mountPoint]);
  }

  /** Writes wait up to `frozenMs`, again and again, until `hurry`. */
  slow(frozenMs: number, thawedMs: number): void {
    const stop = new AbortController();
    this.#slowing = { stop, ended: this.#freezeAndThaw(frozenMs, thawedMs, stop.signal) };
  }

  async hurry(): Promise<void> {
    this.#slowing?.stop.abort();
    await this.#slowing?.ended;
    this.#slowing = undefined;
  }

  async #freezeAndThaw(frozenMs: number, thawedMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.freeze();
      await systemClock.sleep(frozenMs);
      await this.thaw();
      await systemClock.sleep(thawedMs);
    }
  }

  /** Takes all free space. */
  async fill(): Promise<void> {
    const { bavail, bsize } = statfsSync(this.#mountPoint);
    const ballast = this.#ballast;
    await run("fallocate", ["-l", String(Math.max(bsize, bavail * bsize - 4 * ballastChunkBytes)), ballast]).catch(
      () => undefined,
    );
    const file = openSync(ballast, "a");
    try {
      for (let bytes = ballastChunkBytes; bytes >= bsize; ) {
        try {
          if (writeSync(file, Buffer.alloc(bytes)) < bytes) bytes /= 2;
        } catch {
          bytes /= 2;
        }
      }
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#ballast, { force: true });
  }

  async close(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#janitor.once("exit", () => resolve()));
    this.#janitor.stdin?.end();
    await gone;
  }

  get #ballast(): string {
    return join(this.#mountPoint, "lost+found", "ballast");
  }
}
