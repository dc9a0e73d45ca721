/**
 * One line per request, as JSON or in the combined log format of Apache and nginx. Everything that a client sent is
 * escaped: an entry is always one line, and nothing in it can control a terminal.
 */
import { asciiJson } from "../../runtime/printable.ts";

export interface AccessEntry {
  /** Wall-clock time of the request's arrival, milliseconds. */
  readonly wallTime: number;
  readonly remoteAddress: string;
  readonly method: string;
  readonly target: string;
  readonly version: string;
  /** 0 if no final response was started. */
  readonly status: number;
  /** True if the whole response was sent. */
  readonly complete: boolean;
  /** Bytes of the request's body that arrived. */
  readonly requestBytes: number;
  /** Heads and bodies of the response. */
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly requestId: string;
  readonly referer: string | undefined;
  readonly userAgent: string | undefined;
}

export type AccessLogFormat = "json" | "combined";

/** Returns the line for `entry`, without a line end. */
export function accessLine(entry: AccessEntry, format: AccessLogFormat): string {
  return format === "json" ? jsonLine(entry) : combinedLine(entry);
}

function jsonLine(entry: AccessEntry): string {
  const { wallTime, durationMs, ...rest } = entry;
  const time = new Date(wallTime).toISOString();
  // Heads are bytes, not UTF-8: a line of ASCII alone is both valid JSON and safe for a terminal.
  return asciiJson(JSON.stringify({ time, ...rest, durationMs: Math.round(durationMs * 1000) / 1000 }));
}

function combinedLine(entry: AccessEntry): string {
  const request = `${entry.method} ${escape(entry.target)} HTTP/${entry.version}`;
  return `${entry.remoteAddress} - - [${commonTime(entry.wallTime)}] "${request}" ${entry.status} ${entry.responseBytes} "${escape(entry.referer ?? "-")}" "${escape(entry.userAgent ?? "-")}"`;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `10/Oct/2000:13:55:36 +0000` */
function commonTime(wallTime: number): string {
  const iso = new Date(wallTime).toISOString();
  return `${iso.slice(8, 10)}/${months[Number(iso.slice(5, 7)) - 1] ?? ""}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
}

/** Escapes quotation marks, backslashes and everything that is not visible ASCII as `\xHH`. */
function escape(text: string): string {
  let escaped = "";
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    escaped +=
      code < 32 || code > 126 || code === 34 || code === 92
        ? `\\x${code.toString(16).padStart(2, "0")}`
        : text.charAt(i);
  }
  return escaped;
}
