/**
 * A limit for what this process may still allocate (RLIMIT_AS), for processes that work for others: an allocation
 * beyond it fails, in SQLite as an error and in JavaScript as the end of the process. JavaScript's heap lies in address
 * space that the runtime reserves at its start, so the limit counts from what is reserved when it is set.
 */
import { readFileSync } from "node:fs";
import { openLibc } from "./libc.ts";

/** Linux, both architectures (asm-generic/resource.h). */
const RLIMIT_AS = 9;
const RLIMIT_CORE = 4;

/**
 * Allows `bytes` beyond what the process has now, and no core file, which would contain what it read. Returns false
 * where there is no such limit.
 */
export async function limitOwnMemory(bytes: number): Promise<boolean> {
  const libc = await openLibc({ setrlimit: { args: ["i32", "ptr"], returns: "i32" } });
  if (typeof libc === "string") return false;
  const [, kilobytes] = /^VmSize:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
  if (kilobytes === undefined) return false;
  const set = (resource: number, value: number): boolean => {
    const pair = new BigUint64Array([BigInt(value), BigInt(value)]);
    return libc.symbols.setrlimit(resource, new Uint8Array(pair.buffer)) === 0;
  };
  set(RLIMIT_CORE, 0);
  return set(RLIMIT_AS, Number(kilobytes) * 1024 + bytes);
}
