/**
 * The errors of the lower layers that an operator can cause, as errors of the CLI with their exit codes. They are known by name,
 * so that `stead --help` does not load the layers that throw them; a test looks for names that are missing here.
 */
import { CliError } from "./cli-error.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

interface Expected {
  readonly exitCode: ExitCode;
  /** For errors that do not say what to do, neither in `advice` nor in their message after a semicolon. */
  readonly advice: string;
}

const vault: Expected = { exitCode: exitCodes.vault, advice: "look at the vault with `stead vault verify`" };
const listen: Expected = { exitCode: exitCodes.resource, advice: "stop the process that has the port, or choose another one in the configuration" };
const application: Expected = { exitCode: exitCodes.application, advice: "look at what the application wrote above, and at [host.application] in the configuration" };

export const expectedErrors: Readonly<Record<string, Expected>> = {
  StoreError: vault,
  NotAVaultError: vault,
  ForeignVaultError: vault,
  CorruptRecordError: vault,
  UnappliableFlushError: vault,
  UnknownFormatError: vault,
  DamagedManifestError: vault,
  DamagedChunkError: vault,
  CheckpointExistsError: vault,
  LeftBehindError: vault,
  EmptyVaultError: vault,
  CheckpointsMissingError: vault,
  MomentError: { exitCode: exitCodes.usage, advice: "name a moment that the vault still has" },
  FolderInUseError: { exitCode: exitCodes.resource, advice: "name another folder" },
  LittleRoomError: { exitCode: exitCodes.resource, advice: "free space, or name a folder on another disk" },
  FolderPlaceError: { exitCode: exitCodes.configuration, advice: "name a folder on a local file system that this user can write to" },
  DescriptorLimitError: { exitCode: exitCodes.configuration, advice: "raise the limit of open files (ulimit -n, LimitNOFILE= of systemd)" },
  FolderLockedError: { exitCode: exitCodes.resource, advice: "stop the other host, or give this one folders of its own" },
  DatabaseInUseError: { exitCode: exitCodes.resource, advice: "stop the other gateway, or give this one a database of its own" },
  FileLockError: { exitCode: exitCodes.resource, advice: "name a folder on a file system of this machine" },
  ListenError: listen,
  ControlListenError: listen,
  DescriptorError: { exitCode: exitCodes.configuration, advice: "use gateway.workers = 1" },
  WorkerStartError: { exitCode: exitCodes.resource, advice: "look at what the worker wrote above" },
  CertificateError: { exitCode: exitCodes.configuration, advice: "correct the files that [gateway.tls] names" },
  NewerDatabaseError: { exitCode: exitCodes.resource, advice: "start that newer version, or name another database in the configuration" },
  CaptureError: application,
  ApplicationError: application,
};

/** The same error as a `CliError` when it is an expected one, else unchanged. */
export function asExpected(thrown: unknown): unknown {
  if (!(thrown instanceof Error) || thrown instanceof CliError) return thrown;
  const expected = Object.hasOwn(expectedErrors, thrown.name) ? expectedErrors[thrown.name] : undefined;
  if (expected !== undefined) {
    const [message, inMessage] = thrown.message.split("; ", 2);
    const own = "advice" in thrown && typeof thrown.advice === "string" ? thrown.advice : inMessage;
    const accepted = "accepted" in thrown && typeof thrown.accepted === "string" ? { accepted: thrown.accepted } : {};
    const found = "found" in thrown && own !== undefined && thrown.message.includes(own) ? String(thrown.found) : own === inMessage ? (message ?? "") : thrown.message;
    return new CliError(expected.exitCode, { found, ...accepted, advice: own ?? expected.advice }, { cause: thrown });
  }
  const code = (thrown as NodeJS.ErrnoException).code;
  const advice = code === undefined ? undefined : systemAdvice[code];
  return advice === undefined ? thrown : new CliError(exitCodes.resource, { found: thrown.message, advice }, { cause: thrown });
}

/** Errors of the operating system that have one usual cause. */
const systemAdvice: Readonly<Record<string, string>> = {
  EACCES: "give the user that runs stead the permission, or name another file",
  EPERM: "give the user that runs stead the permission, or name another file",
  EROFS: "the file system is read-only: mount it for writing, or name another folder",
  ENOSPC: "the disk is full: make space and start again; nothing that was acknowledged is lost",
  EDQUOT: "the quota is used up: make space and start again; nothing that was acknowledged is lost",
  EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE= of systemd)",
  EADDRINUSE: "stop the process that has the port, or choose another one in the configuration",
};
