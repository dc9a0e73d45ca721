/**
 * Processes and their sockets from Linux's /proc (proc(5)). On other systems, and for processes that this user may not
 * examine, results are empty: callers treat an empty result as "unknown", never as "none".
 *
 * All reads are synchronous: one takes about ten microseconds, a detour through the event loop costs more. A scan of
 * all processes is for moments at which something ended or went wrong, not for a timer.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Dead, but its parent has not collected its exit code yet. */
  readonly isDefunct: boolean;
  /** Dead, or about to be: from before the kernel closes its files. */
  readonly isExiting: boolean;
  /**
   * Clock ticks from the start of the machine to that of the process: distinguishes it from a later one with the same
   * number.
   */
  readonly born: string;
}

/** PF_EXITING of Linux, in the flags of a process: it is set before the files of the process are closed. */
const exitingFlag = 0x4;

/** Characters of a command line in messages. */
const commandCharactersMax = 120;

/** Returns every visible process; one that ends meanwhile is left out. */
function allProcesses(): ProcessRow[] {
  return pids().flatMap((pid) => processRow(pid) ?? []);
}

/** Returns the numbers of all visible processes. */
export function pids(): number[] {
  return namesIn("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** Returns undefined if there is no such process, or no /proc. */
export function processRow(pid: number): ProcessRow | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name in parentheses may hold anything: fields count from after the last ")".
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const isDefunct = fields[0] === "Z" || fields[0] === "X";
  return {
    pid,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    isDefunct,
    isExiting: isDefunct || (Number(fields[6]) & exitingFlag) !== 0,
    born: fields[19] ?? "",
  };
}

/**
 * Returns everything that the leader of a process group started, as far as the table still shows it: by group, session
 * or parent.
 */
export function processesOfGroup(leader: number): ProcessRow[] {
  const rows = allProcesses();
  const found = new Map(
    rows
      .filter(({ pid, group, session }) => pid === leader || group === leader || session === leader)
      .map((row) => [row.pid, row]),
  );
  for (let before = -1; before < found.size; ) {
    before = found.size;
    for (const row of rows) if (found.has(row.parent)) found.set(row.pid, row);
  }
  return [...found.values()].filter((row) => !row.isDefunct);
}

/**
 * Returns true if the leader of a process group, or a process that it started, is ending, which its parent may not have
 * been told yet. Without a /proc: false.
 */
export function hasExiting(leader: number): boolean {
  if (processRow(process.pid) === undefined) return false;
  return [leader, ...childrenOf(leader)].some((pid) => processRow(pid)?.isExiting ?? true);
}

/**
 * Returns the children of a process, whichever of its threads started or adopted them; needs `CONFIG_PROC_CHILDREN`,
 * which every distribution has.
 */
export function childrenOf(pid: number): number[] {
  return namesIn(`/proc/${pid}/task`).flatMap((thread) => {
    const children = textOf(`/proc/${pid}/task/${thread}/children`)?.trim() ?? "";
    return children === "" ? [] : children.split(" ").map(Number);
  });
}

/**
 * Returns the variables as of the program's start; empty during an exec; undefined: this user may not look, or it has
 * ended.
 */
export function environmentOf(pid: number): string | undefined {
  return textOf(`/proc/${pid}/environ`);
}

/** Describes a process for operators: `4711 (python3 app.py)`. */
export function describeProcess(pid: number): string {
  const command = textOf(`/proc/${pid}/cmdline`)?.split("\0").join(" ").trim() || textOf(`/proc/${pid}/comm`)?.trim();
  if (command === undefined) return String(pid);
  return `${pid} (${command.length > commandCharactersMax ? `${command.slice(0, commandCharactersMax)}…` : command})`;
}

export interface ListeningSocket {
  /** As in `ss`: `127.0.0.1:80`, `[::1]:80`, `*:80` for every address. */
  readonly address: string;
  readonly port: number;
  /** Inode of the socket: /proc/PID/fd of its owners point to `socket:[inode]`. */
  readonly inode: string;
}

/** Returns every listening TCP socket of this network namespace, without its owner. */
function allListeners(): ListeningSocket[] {
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => parseListeners(textOf(path) ?? ""));
}

/** Returns the listening sockets that one of these processes has open. */
export function listenersOf(owners: readonly number[]): ListeningSocket[] {
  const listeners = allListeners();
  if (listeners.length === 0) return [];
  const sockets = new Set(owners.flatMap((pid) => openFiles(pid).map(({ target }) => target)));
  return listeners.filter(({ inode }) => sockets.has(`socket:[${inode}]`));
}

/**
 * Returns the process that listens on a port, as `4711 (python3 app.py)`; undefined: none that this user may examine.
 */
export function ownerOfPort(port: number): string | undefined {
  const sockets = new Set(
    allListeners().flatMap((listener) => (listener.port === port ? [`socket:[${listener.inode}]`] : [])),
  );
  const owner = pids().find((pid) => openFiles(pid).some(({ target }) => sockets.has(target)));
  return owner === undefined ? undefined : describeProcess(owner);
}

interface OpenFile {
  readonly descriptor: number;
  /** Path in the process's own mount namespace, or `socket:[inode]` and the like. */
  readonly target: string;
}

/** Empty also for a process that this user may not examine. */
export function openFiles(pid: number): OpenFile[] {
  return namesIn(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [{ descriptor: Number(name), target: readlinkSync(`/proc/${pid}/fd/${name}`) }];
    } catch {
      return []; // Closed meanwhile.
    }
  });
}

/**
 * Checks the access mode of a descriptor: the last two bits of the flags given to `open`, in octal (proc(5), fdinfo).
 */
export function isOpenForWriting(pid: number, descriptor: number): boolean {
  const flags = /^flags:\s+([0-7]+)$/m.exec(textOf(`/proc/${pid}/fdinfo/${descriptor}`) ?? "")?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & 3) !== 0;
}

export interface HeldLock {
  /** -1: the lock belongs to an open file and not to a process. */
  readonly pid: number;
  readonly inode: string;
}

/** Returns every held lock on a file, by processes of all users. */
export function lockTable(): HeldLock[] {
  return parseLocks(textOf("/proc/locks") ?? "");
}

/** `1: POSIX  ADVISORY  WRITE 4711 08:01:262145 0 EOF`; with an arrow behind the number it is only waited for. */
export function parseLocks(table: string): HeldLock[] {
  return table.split("\n").flatMap((line) => {
    const match = /^\d+: \w+ +\w+ +\w+ (-?\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line);
    return match === null ? [] : [{ pid: Number(match[1]), inode: match[2] ?? "" }];
  });
}

/** State of a listening socket in /proc/net/tcp (include/net/tcp_states.h). */
const listening = "0A";

export function parseListeners(table: string): ListeningSocket[] {
  return table
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (local === undefined || inode === undefined || state !== listening) return [];
      const [address = "", port = ""] = local.split(":");
      const number = Number.parseInt(port, 16);
      return [{ address: `${addressOf(address)}:${number}`, port: number, inode }];
    });
}

/**
 * The kernel prints each 32-bit word of an address in the machine's byte order, which is little-endian on every system
 * that runs stead.
 */
function addressOf(hex: string): string {
  if (/^0+$/.test(hex)) return "*";
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) =>
    (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).toReversed(),
  );
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.slice(0, 15).every((byte) => byte === 0)) return `[::${bytes[15]?.toString(16)}]`;
  const words = Array.from({ length: 8 }, (_, at) =>
    (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  return `[${words.join(":")}]`;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
