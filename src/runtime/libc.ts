/** The C library of this machine, for a few Linux calls that neither Bun nor Node has. */
import type { FFIFunction } from "bun:ffi";
import { messageOf } from "./operator-error.ts";

/** glibc and musl. */
const names = ["libc.so.6", "libc.so", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"] as const;

/** The functions that `openLibc` found, and access to addresses. */
export interface Libc<Names extends string> {
  readonly symbols: Readonly<Record<Names, (...args: (number | bigint | Uint8Array)[]) => number>>;
  /** Returns the address of memory that is not moved: a buffer with its own `ArrayBuffer`. */
  addressOf(bytes: Uint8Array): number;
  /** Returns `errno` of the last call; undefined if it is not available. */
  errno(): number | undefined;
}

/** Returns a text with the reason if it is not available here. */
export async function openLibc<Names extends string>(
  functions: Readonly<Record<Names, FFIFunction>>,
): Promise<Libc<Names> | string> {
  if (process.platform !== "linux") return "it needs Linux";
  if (!("Bun" in globalThis)) return "it needs Bun";
  const { dlopen, ptr, read } = await import("bun:ffi");
  const failures: string[] = [];
  for (const name of names) {
    try {
      const { symbols } = dlopen(name, { ...functions, __errno_location: { args: [], returns: "ptr" } });
      const calls = symbols as unknown as Record<string, (...args: unknown[]) => number>;
      const errno = (): number | undefined => {
        const at = calls["__errno_location"]?.();
        return at === undefined ? undefined : read.i32(at);
      };
      return { symbols: calls as unknown as Libc<Names>["symbols"], addressOf: (bytes) => ptr(bytes), errno };
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  return `no C library could be loaded: ${failures[0] ?? "none was tried"}`;
}
