/**
 * Writes one line per event to standard error: for people and `grep` as time, level, message and `key=value`, or as one
 * JSON object. Its names are published (docs/OPERATIONS.md, Logs).
 */
import { escapeControls } from "./printable.ts";

export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export interface Logger {
  info(what: string, fields?: LogFields): void;
  warn(what: string, fields?: LogFields): void;
  error(what: string, fields?: LogFields): void;
}

export type LogFormat = "text" | "json";
type LogLevel = "info" | "warn" | "error";

interface LogEntry {
  readonly time: string;
  readonly level: LogLevel;
  /** The part of the process, for example `host a`. */
  readonly process: string;
  readonly what: string;
  readonly fields: LogFields;
}

const formats: Readonly<Record<LogFormat, (entry: LogEntry) => string>> = { text: textLine, json: jsonLine };

/** `name` identifies the part of the process, for example `host a`. */
export function systemLog(name: string, format: LogFormat = "text"): Logger {
  const lineOf = formats[format];
  const line = (level: LogLevel, what: string, fields: LogFields = {}): void =>
    void process.stderr.write(lineOf({ time: new Date().toISOString(), level, process: name, what, fields }));
  return {
    info: (what, fields) => line("info", what, fields),
    warn: (what, fields) => line("warn", what, fields),
    error: (what, fields) => line("error", what, fields),
  };
}

export function textLine({ time, level, process: name, what, fields }: LogEntry): string {
  const tail = Object.entries(fields).map(([key, value]) => ` ${key}=${quoted(value)}`);
  return `${time} ${level} ${name}: ${oneEntry(what)}${tail.join("")}\n`;
}

/** `stream` tells stead's own lines from those of the application (host/application/prefixed-output.ts). */
export function jsonLine({ time, level, process: name, what, fields }: LogEntry): string {
  return `${JSON.stringify({ time, level, stream: "stead", process: name, message: what, fields })}\n`;
}

/** A further line of a message is indented, so that it cannot pass for an entry. */
const oneEntry = (what: string): string => escapeControls(what, "\n\t").replaceAll("\n", "\n  ");

function quoted(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  const text = escapeControls(value);
  return /[\s"=]/.test(text) ? `"${text.replaceAll('"', '\\"')}"` : text;
}
