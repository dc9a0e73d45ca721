/** The processor time of processes, by which a busy machine tells what a change costs when it has no quiet second. */
import { readFileSync } from "node:fs";

/** Of `/proc/PID/stat`: fixed for user space, whatever the kernel was built with. */
const ticksPerSecond = 100;

/** Milliseconds that a process and its living descendants have used, in user and kernel mode. */
export function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
  const own = ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
  return childrenOf(pid).reduce((sum, child) => sum + processorMs(child), own);
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").filter(Boolean).map(Number);
