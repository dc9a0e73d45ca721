/**
 * `host.application.log`: where the application's output goes. Wherever that is, neither the application nor the host
 * waits for it: what a full disk or a reader that does not keep up does not take is left out, and counted.
 *
 * - `prefixed`: the host's own log, each line with a prefix (prefixed-output.ts).
 * - `journald`: a stream of its own to the journal, under the service's name (journal-stream.ts).
 * - a path: a file with the application's own bytes (file-output.ts).
 */
import { accessSync, constants, lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { ApplicationLogConfig } from "../../config/types.ts";
import type { Clock } from "../../runtime/clock.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { FileOutput } from "./file-output.ts";
import { JournalStream, journalSocket } from "./journal-stream.ts";
import { type LineFormat, PrefixedOutput } from "./prefixed-output.ts";
import type { OutputSink } from "./watcher.ts";

export interface ApplicationLogFinding {
  readonly kind: "refused";
  readonly key: "application.log";
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

/** The application's output cannot go there. */
export class ApplicationLogError extends OperatorError {
  constructor({ key, found, accepted, advice }: ApplicationLogFinding) {
    super("configuration", { found: `host.${key}: ${found}`, accepted, advice });
  }
}

/** Returns why output cannot go there on this machine; undefined: it can. */
export function checkApplicationLog(
  log: ApplicationLogConfig,
  socket = journalSocket,
): ApplicationLogFinding | undefined {
  const refused = (found: string, accepted: string, advice: string): ApplicationLogFinding => ({
    ...{ kind: "refused", key: "application.log", found, accepted, advice },
  });
  if (log.kind === "journald" && !isSocket(socket))
    return refused(
      `"journald", but there is no socket ${socket}`,
      "a machine on which systemd-journald runs",
      'use "prefixed" (the host\'s own log), or the path of a file',
    );
  const why = log.kind === "file" ? whyNotAppended(log.path) : undefined;
  if (log.kind === "file" && why !== undefined)
    return refused(
      `${log.path}, which cannot be written (${why})`,
      "a file in an existing folder that the host can write to",
      "create the folder, or correct the path (it is relative to the folder of this file)",
    );
  return undefined;
}

export function assertApplicationLog(log: ApplicationLogConfig): void {
  const finding = checkApplicationLog(log);
  if (finding !== undefined) throw new ApplicationLogError(finding);
}

export interface ApplicationLogOptions {
  readonly service: string;
  readonly clock: Clock;
  readonly onWarning: (text: string) => void;
  /** Of a line in the host's own log; undefined: with the prefix. */
  readonly lineFormat?: LineFormat | undefined;
}

/** Opens it for one term. Whatever fails later is told to `onWarning`, once until it works again. */
export function openApplicationLog(log: ApplicationLogConfig, options: ApplicationLogOptions): OutputSink {
  switch (log.kind) {
    case "prefixed":
      return new PrefixedOutput(process.stderr, options.lineFormat);
    case "journald":
      return new PrefixedOutput(new JournalStream({ ...options, identifier: options.service }), "");
    case "file":
      return new FileOutput({ ...options, path: log.path });
  }
}

function isSocket(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

function whyNotAppended(path: string): string | undefined {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isSymbolicLink() === true) return "it is a symbolic link";
    if (found?.isDirectory() === true) return "it is a folder";
    accessSync(found === undefined ? dirname(path) : path, constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? messageOf(error);
  }
}
