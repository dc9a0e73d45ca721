/**
 * How each file was when this host put it there: size, time of change and inode. Another process that writes to the
 * files of a secondary is noticed by them, some at each look, and all of them when the files are handed over if they
 * are few; a promotion does not wait for a look at a hundred thousand files.
 */
import { ReplicaError } from "../../../capture/replica-error.ts";
import type { FileGround } from "./file-ground.ts";

/** More are not looked at when they are handed over: they are looked at in turn while this host follows. */
const handOverMax = 2_000;

interface LeftFile {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ino: number;
}

export class LeftFiles {
  readonly #ground: FileGround;
  readonly #files = new Map<string, LeftFile>();
  #turn: Iterator<[string, LeftFile]> | undefined;

  constructor(ground: FileGround) {
    this.#ground = ground;
  }

  remember(path: string): void {
    const stats = this.#ground.lookAt(path);
    if (stats !== undefined) this.#files.set(path, { size: stats.size, mtimeMs: stats.mtimeMs, ino: stats.ino });
  }

  forget(path: string): void {
    this.#files.delete(path);
  }

  /** Everything below a folder. */
  forgetBelow(folder: string): void {
    const below = `${folder}/`;
    for (const each of this.#files.keys()) if (each.startsWith(below)) this.#files.delete(each);
  }

  /** Throws ReplicaError if one of the next few is not as it was left. */
  look(count: number): void {
    for (let at = 0; at < count; at++) {
      this.#turn ??= this.#files.entries();
      const next = this.#turn.next();
      if (next.done === true) {
        this.#turn = undefined;
        return;
      }
      this.#assert(next.value[0], next.value[1]);
    }
  }

  lookAtAll(): void {
    if (this.#files.size > handOverMax) return;
    for (const [path, left] of this.#files) this.#assert(path, left);
  }

  #assert(path: string, left: LeftFile): void {
    const stats = this.#ground.lookAt(path);
    if (
      stats?.isFile() === true &&
      stats.size === left.size &&
      stats.mtimeMs === left.mtimeMs &&
      stats.ino === left.ino
    )
      return;
    throw new ReplicaError(
      path,
      "a file that was changed by something other than this host",
      "a copy that only the journal changes; nothing else may write to the files of a secondary",
      "foreign",
    );
  }
}
