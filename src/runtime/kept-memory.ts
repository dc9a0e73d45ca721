/**
 * Keeps memory that was freed for a second before the kernel gets it back. The processes that move much data (chunks of
 * checkpoints, bodies of requests) free and take megabytes all the time: given back at once, as Bun's allocator does by
 * default, each page is cleared and mapped again, which cost a checkpoint of 1 GB half of its processor time.
 *
 * The allocator reads its setting once, when the process starts, so the process replaces itself by the same program
 * with the setting in its environment: the process id, the standard streams and the working directory stay. A setting
 * that is there already, from an operator or from the process before, is left alone.
 */
import process from "node:process";
import { isCompiled } from "./self-command.ts";

const setting = "MIMALLOC_PURGE_DELAY";
const keptMs = 1_000;

/** Commands that run for long or move much. Those that inherit sockets are none: only the standard streams stay. */
const commands: ReadonlySet<string> = new Set(["gateway", "host", "rewind", "vault"]);

/** How a process starts again. */
export interface NewStart {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

type ThisProcess = Pick<NodeJS.Process, "argv" | "argv0" | "env" | "execArgv"> & { readonly isCompiled: boolean };

/** Undefined: it stays as it is. */
export function startWithKeptMemory({ argv, argv0, env, execArgv, isCompiled }: ThisProcess): NewStart | undefined {
  const [, main = "", command = ""] = argv;
  if (!commands.has(command) || env[setting] !== undefined) return undefined;
  const variables = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {
    args: [argv0, ...(isCompiled ? [] : [...execArgv, main]), ...argv.slice(2)],
    env: { ...Object.fromEntries(variables), [setting]: String(keptMs) },
  };
}

/** Returns if nothing is to be done: under Node and Deno, whose allocator is another, always. */
export function keepFreedMemory(): void {
  if (process.versions["bun"] === undefined || process.execve === undefined) return;
  const { argv, argv0, env, execArgv, execPath } = process;
  const start = startWithKeptMemory({ argv, argv0, env, execArgv, isCompiled });
  if (start !== undefined) process.execve(execPath, start.args, start.env);
}
