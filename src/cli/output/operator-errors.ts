/** How the terminal shows an error that an operator can act on. Anything else that is thrown is a defect. */
import { OperatorError, type OperatorErrorText } from "../../runtime/operator-error.ts";

/** Operating system errors that have one usual cause. */
const systemAdvice: Readonly<Record<string, string>> = {
  EACCES: "give the user that runs stead the permission, or name another file",
  EPERM: "give the user that runs stead the permission, or name another file",
  EROFS: "the file system is read-only: mount it for writing, or name another folder",
  ENOSPC: "the disk is full: free space and restart; no acknowledged write is lost",
  EDQUOT: "the quota is used up: free space and restart; no acknowledged write is lost",
  EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE= of systemd)",
  EADDRINUSE: "stop the process that has the port, or choose another port in the configuration",
};

/** Returns an operator's error unchanged, a system error with its advice, and undefined for a defect. */
export function asOperatorError(thrown: unknown): OperatorError | undefined {
  if (thrown instanceof OperatorError) return thrown;
  if (!(thrown instanceof Error)) return undefined;
  const advice = systemAdvice[(thrown as NodeJS.ErrnoException).code ?? ""];
  return advice === undefined
    ? undefined
    : new OperatorError("resource", { found: thrown.message, advice }, { cause: thrown });
}

/** Formats the lines for the terminal, without colour. */
export function formatOperatorError({ found, accepted, advice }: OperatorErrorText): string {
  return [`stead: ${found}`, ...(accepted === undefined ? [] : [`  accepted: ${accepted}`]), `  do: ${advice}`].join(
    "\n",
  );
}
