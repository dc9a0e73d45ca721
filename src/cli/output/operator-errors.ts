/**
 * What the terminal shows of an error that a person can do something about. Everything else that is thrown is a defect.
 */
import { OperatorError, type OperatorErrorText } from "../../runtime/operator-error.ts";

/** Errors of the operating system that have one usual cause. */
const systemAdvice: Readonly<Record<string, string>> = {
  EACCES: "give the user that runs stead the permission, or name another file",
  EPERM: "give the user that runs stead the permission, or name another file",
  EROFS: "the file system is read-only: mount it for writing, or name another folder",
  ENOSPC: "the disk is full: free space and restart; no acknowledged write is lost",
  EDQUOT: "the quota is used up: free space and restart; no acknowledged write is lost",
  EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE= of systemd)",
  EADDRINUSE: "stop the process that has the port, or choose another port in the configuration",
};

/** An operator's error as it is, one of the operating system with what to do about it; undefined for a defect. */
export function asOperatorError(thrown: unknown): OperatorError | undefined {
  if (thrown instanceof OperatorError) return thrown;
  if (!(thrown instanceof Error)) return undefined;
  const advice = systemAdvice[(thrown as NodeJS.ErrnoException).code ?? ""];
  return advice === undefined
    ? undefined
    : new OperatorError("resource", { found: thrown.message, advice }, { cause: thrown });
}

/** The lines that the terminal shows, without colour. */
export function formatOperatorError({ found, accepted, advice }: OperatorErrorText): string {
  return [`stead: ${found}`, ...(accepted === undefined ? [] : [`  accepted: ${accepted}`]), `  do: ${advice}`].join(
    "\n",
  );
}
