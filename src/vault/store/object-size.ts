/** What may be read as an object: checked before a byte is allocated for it. */
import { StrangeObjectError } from "../errors.ts";

/** `size`: undefined if it is no regular file. Throws StrangeObjectError. */
export function assertSize(key: string, size: number | undefined, bytesMax: number): asserts size is number {
  const accepted = `a regular file of at most ${bytesMax} bytes`;
  if (size === undefined) throw new StrangeObjectError(key, "not a regular file", accepted);
  if (size > bytesMax) throw new StrangeObjectError(key, `${size} bytes long`, accepted);
}

/** The codes of an open that did not follow a link, or met a socket, a device without a driver or a folder. */
export const isStrangeFile = (code: string): boolean => ["ELOOP", "ENXIO", "ENODEV", "EISDIR"].includes(code);
