/** Writes one line per event to standard error: time, level, message, then `key=value`. For people and for `grep`. */
import { escapeControls } from "./printable.ts";

export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export interface Logger {
  info(what: string, fields?: LogFields): void;
  warn(what: string, fields?: LogFields): void;
  error(what: string, fields?: LogFields): void;
}

/** `name` identifies the part of the process, for example `host a`. */
export function systemLog(name: string): Logger {
  const line = (level: string, what: string, fields: LogFields = {}): void => {
    const tail = Object.entries(fields).map(([key, value]) => ` ${key}=${quoted(value)}`);
    process.stderr.write(`${new Date().toISOString()} ${level} ${name}: ${oneEntry(what)}${tail.join("")}\n`);
  };
  return {
    info: (what, fields) => line("info", what, fields),
    warn: (what, fields) => line("warn", what, fields),
    error: (what, fields) => line("error", what, fields),
  };
}

/** A further line of a message is indented, so that it cannot pass for an entry. */
const oneEntry = (what: string): string => escapeControls(what, "\n\t").replaceAll("\n", "\n  ");

function quoted(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  const text = escapeControls(value);
  return /[\s"=]/.test(text) ? `"${text.replaceAll('"', '\\"')}"` : text;
}
