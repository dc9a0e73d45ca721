/** How files were when they were read, by their paths: one string each, since there may be a hundred thousand. */
import type { FileStamp } from "./file-look.ts";

export class FileStamps {
  readonly #stamps = new Map<string, string>();

  get(path: string): FileStamp | undefined {
    const [inode, size, mtimeNs, ctimeNs] = this.#stamps.get(path)?.split(" ").map(BigInt) ?? [];
    if (inode === undefined || size === undefined || mtimeNs === undefined || ctimeNs === undefined) return undefined;
    return { inode, size, mtimeNs, ctimeNs };
  }

  set(path: string, { inode, size, mtimeNs, ctimeNs }: FileStamp): void {
    this.#stamps.set(path, [inode, size, mtimeNs, ctimeNs].join(" "));
  }

  delete(path: string): void {
    this.#stamps.delete(path);
  }
}
