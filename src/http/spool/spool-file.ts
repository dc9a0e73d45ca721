/**
 * A file without a name, for bytes of one process. The system frees it with its last descriptor, however the process
 * ends.
 *
 * No `FileHandle`: one that were ever forgotten would end the process when it is collected as garbage.
 */
import { close, open, read, write } from "node:fs";
import { unlink } from "node:fs/promises";
import { promisify } from "node:util";

const [opened, closed, taken, filled] = [promisify(open), promisify(close), promisify(write), promisify(read)];

export interface SpoolFile {
  /** Writes all of `bytes`. Rejects with the system's error. */
  write(bytes: Buffer, position: number): Promise<void>;
  /** Fills `bytes`; false: the file is shorter. Rejects with the system's error. */
  read(bytes: Buffer, position: number): Promise<boolean>;
  close(): Promise<void>;
}

/** `path`: of no file yet. It is removed at once. */
export async function openNameless(path: string): Promise<SpoolFile> {
  const descriptor = await opened(path, "wx+", 0o600);
  try {
    await removeFile(path);
  } catch (error) {
    await closed(descriptor);
    throw error;
  }
  return {
    async write(bytes, position) {
      for (let done = 0; done < bytes.length; )
        done += (await taken(descriptor, bytes, done, bytes.length - done, position + done)).bytesWritten;
    },
    async read(bytes, position) {
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await filled(descriptor, bytes, done, bytes.length - done, position + done);
        if (bytesRead === 0) return false;
        done += bytesRead;
      }
      return true;
    },
    close: () => closed(descriptor),
  };
}

/** One that is gone is removed. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
