/**
 * The puts of small objects as jobs of a thread (job-thread.ts): write, fsync, link and fsync of the folder.
 *
 * A second thread removes the temporary and opens the next one ahead, beside the puts: on a journaling disk both may
 * take as long as a put (in the same thread, p50 of a put on ext4 was 2.5 times as long). Nothing waits for it, so it
 * does not reply; while it is at work the pool does the same (fs-temporaries.ts).
 *
 * The thread makes the calls and judges nothing: it reports the error of a failed call, and fs-store.ts continues from
 * there with calls of its own. So one place decides which writer owns a name, and which outcome is ambiguous. While a
 * put is in progress, all others use the pool.
 */
import { type Temporary, temporaryMode } from "./fs-temporaries.ts";
import { type JobContext, JobThread, type JobThreadOptions } from "./job-thread.ts";

/** Content of one put, bytes. A larger put is worth its hops, and would delay the puts behind it. */
export const threadPutBytesMax = 256 * 1024;

export interface PutRequest {
  /** Empty. */
  readonly temporary: Temporary;
  /** Absolute, of the folder that the object is in and of the object. */
  readonly folder: string;
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The call that failed. Nothing is visible before `link`; at `link` the object may be, at `folder` it is. */
export type PutStage = "write" | "link" | "folder";

export type ThreadPut =
  | { readonly kind: "created" }
  | { readonly kind: "failed"; readonly at: PutStage; readonly error: Error };

/** The port, so that tests can make a call fail. */
export interface SmallPuts {
  /** True if `put` may be called for this many bytes now. */
  isFree(bytes: number): boolean;
  /** Folders may be other ones from now on: kept descriptors are not used any more (fs-folders.ts). */
  forgetFolders(): void;
  /** Rejects if the thread has ended: the outcome of the put is unknown. */
  put(request: PutRequest): Promise<ThreadPut>;
  /** Closes and removes a temporary, and opens `next` ahead, in the background. Returns false if it cannot now. */
  replace(temporary: Temporary, next: string): boolean;
  /** Returns the temporary that was opened ahead, once. */
  takeAhead(): Temporary | undefined;
  /** Resolves when the thread has ended, or at once if a put has not returned. */
  close(): Promise<void>;
}

export class PutThread implements SmallPuts {
  readonly #thread: JobThread;
  readonly #replacing: JobThread;
  /** Path of the temporary that is opened ahead. */
  #ahead: string | undefined;
  /** Changes when folders do. */
  #folders = 0;

  constructor(options: JobThreadOptions = {}) {
    this.#thread = new JobThread(putInThread, threadPutBytesMax, options);
    this.#replacing = new JobThread(replaceInThread, 0, options);
  }

  isFree(bytes: number): boolean {
    return this.#thread.isFree(bytes);
  }

  forgetFolders(): void {
    this.#folders += 1;
  }

  async put({ temporary, folder, path, bytes }: PutRequest): Promise<ThreadPut> {
    const reply = await this.#thread.run({
      numbers: [temporary.fd, this.#folders],
      texts: [temporary.path, folder, path],
      content: [bytes],
    });
    if (reply.kind === "done") return { kind: "created" };
    const at = reply.at === "link" || reply.at === "folder" ? reply.at : "write";
    return { kind: "failed", at, error: reply.error };
  }

  replace({ fd, path }: Temporary, next: string): boolean {
    const opens = this.#ahead === undefined;
    const texts = opens ? [path, next] : [path];
    if (!this.#replacing.post({ numbers: [fd, temporaryMode], texts, content: [] })) return false;
    if (opens) this.#ahead = next;
    return true;
  }

  takeAhead(): Temporary | undefined {
    const path = this.#ahead;
    if (path === undefined || this.#replacing.isPosted) return undefined;
    this.#ahead = undefined;
    const fd = this.#replacing.takeResult();
    return fd < 0 ? undefined : { path, fd };
  }

  async close(): Promise<void> {
    await Promise.all([this.#thread.close(), this.#replacing.close()]);
  }
}

/** Runs in the second thread. Returns the descriptor of the next temporary; empty if it opened none. */
function replaceInThread({ fs, numbers, texts }: JobContext): string {
  const [old = -1, mode = 0] = numbers;
  const [path = "", next] = texts;
  for (const remove of [() => fs.closeSync(old), () => fs.unlinkSync(path)])
    try {
      remove();
    } catch {
      // A failure leaves a stale file, which is removed at open one day (fs-probe.ts).
    }
  if (next === undefined) return "";
  const { O_CREAT, O_EXCL, O_WRONLY } = fs.constants;
  return String(fs.openSync(next, O_WRONLY | O_CREAT | O_EXCL, mode));
}

/** Runs in the thread. `kept`: descriptors of folders, and the generation that they are of. */
function putInThread({ fs, numbers, texts, content, at, kept }: JobContext): string {
  const [fd = -1, generation = 0] = numbers;
  const [temporary = "", folder = "", path = ""] = texts;
  const forget = (name: string): void => {
    const known = kept.get(name);
    kept.delete(name);
    if (known === undefined) return;
    try {
      fs.closeSync(known);
    } catch {
      // It is not used any more.
    }
  };
  const mark = `generation ${generation} `;
  for (const name of [...kept.keys()]) if (!name.startsWith(mark)) forget(name);
  for (let offset = 0; offset < content.length; ) {
    const written = fs.writeSync(fd, content, offset, content.length - offset, offset);
    if (written === 0) throw Object.assign(new Error("wrote nothing"), { code: "EIO" });
    offset += written;
  }
  fs.fsyncSync(fd);
  at("link");
  fs.linkSync(temporary, path);
  at("folder");
  const name = `${mark}${folder}`;
  const known = kept.get(name) ?? fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  kept.set(name, known);
  try {
    fs.fsyncSync(known);
  } catch (error) {
    forget(name); // A descriptor that failed is used no more.
    throw error;
  }
  return "created";
}
