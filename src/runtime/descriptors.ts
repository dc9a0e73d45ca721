/**
 * Duplicates of file descriptors. To keep a listening socket without accepting from it, a process needs a descriptor
 * that the event loop does not know. No API of Node or Bun makes one, so this calls the C library.
 */
import { messageOf, OperatorError } from "./operator-error.ts";

export class DescriptorError extends OperatorError {
  constructor(why: string) {
    super("configuration", {
      found: `a listening socket cannot be shared between processes here: ${why}`,
      advice: "use gateway.workers = 1, and restart instead of upgrading in place",
    });
  }
}

/** Sets close-on-exec; spawning clears it for descriptors that a child is given. */
const duplicateCloexec: Readonly<Record<string, number>> = { linux: 1030, darwin: 67 };

/** Names of the C library that is already loaded: glibc's, musl's, macOS's. */
const libraries: Readonly<Record<string, readonly string[]>> = {
  linux: ["libc.so.6", "libc.so"],
  darwin: ["libSystem.B.dylib"],
};

/** Throws `DescriptorError` if that is not possible for one of them. */
export const duplicateDescriptors = (descriptors: readonly number[]): Promise<readonly number[]> =>
  Promise.all(descriptors.map(duplicateDescriptor));

/**
 * Returns another descriptor for the same open file or socket, not inherited by accident. Throws `DescriptorError` if
 * that is not possible.
 */
export async function duplicateDescriptor(descriptor: number): Promise<number> {
  const command = duplicateCloexec[process.platform];
  if (!("Bun" in globalThis) || command === undefined) throw new DescriptorError("it needs Bun on Linux or macOS");
  const { dlopen } = await import("bun:ffi");
  const failures: string[] = [];
  for (const library of libraries[process.platform] ?? []) {
    try {
      const { symbols } = dlopen(library, { fcntl: { args: ["i32", "i32", "i32"], returns: "i32" } });
      const duplicate = symbols.fcntl(descriptor, command, 0);
      if (duplicate < 0) throw new DescriptorError(`descriptor ${descriptor} cannot be duplicated`);
      return duplicate;
    } catch (error) {
      if (error instanceof DescriptorError) throw error;
      failures.push(messageOf(error));
    }
  }
  throw new DescriptorError(failures.join("; "));
}

/** What a process finds in place of `stdio` behind the first three: `count` descriptors that it was started with. */
export const inheritedDescriptors = (count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => index + 3);
