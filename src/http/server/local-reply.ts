/** Responses that this server makes itself: complete, framed by Content-Length, checked against header injection. */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import { fieldBytes, isToken } from "../message/bytes.ts";
import type { LocalReply } from "../upstream/exchange.ts";
import type { Piece } from "../../runtime/tcp/tcp.ts";

const setByServer = new Set(["content-length", "transfer-encoding", "connection", "date", "keep-alive", "upgrade"]);

export function localReplyBytes(
  response: LocalReply,
  method: string,
  connection: string | undefined,
  wallTime: number,
): Piece[] {
  const { status } = response;
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new RangeError(`status ${status} is not a final status; 200 to 599 is accepted`);
  const body =
    typeof response.body === "string" ? Buffer.from(response.body, "utf8") : Buffer.from(response.body ?? "");
  let head = `HTTP/1.1 ${status} ${checkedValue(response.reason ?? STATUS_CODES[status] ?? "")}\r\nDate: ${httpDate(wallTime)}\r\n`;
  for (const [name, value] of response.headers ?? []) {
    if (!isToken(name)) throw new TypeError("a field name must be a token");
    if (!setByServer.has(name.toLowerCase())) head += `${name}: ${checkedValue(value)}\r\n`;
  }
  const bodyless = status === 204 || status === 304;
  if (!bodyless) head += `Content-Length: ${body.length}\r\n`;
  if (connection !== undefined) head += `Connection: ${connection}\r\n`;
  head += "\r\n";
  return bodyless || method === "HEAD" || body.length === 0 ? [head] : [head, body];
}

/** Values are bytes written as latin1; a character beyond it, or a control character, is a programming error. */
function checkedValue(value: string): string {
  for (let i = 0; i < value.length; i++) {
    if (fieldBytes[value.charCodeAt(i)] !== 1)
      throw new TypeError("a field value must not contain control characters or characters beyond latin1");
  }
  return value;
}

let lastDate = "";
let lastDateSecond = -1;

/** IMF-fixdate, made once a second. */
function httpDate(wallTime: number): string {
  const second = Math.floor(wallTime / 1000);
  if (second !== lastDateSecond) {
    lastDateSecond = second;
    lastDate = new Date(second * 1000).toUTCString();
  }
  return lastDate;
}

/** Builds a refusal: the reason, in plain text or JSON as the client accepts, and nothing that the client sent. */
export function errorReply(status: number, code: string, message: string, accept: string | undefined): LocalReply {
  const json = accept?.toLowerCase().includes("application/json") ?? false;
  return {
    status,
    headers: [["Content-Type", json ? "application/json" : "text/plain; charset=utf-8"]],
    body: json ? JSON.stringify({ error: code, message }) : `${status} ${code}: ${message}\n`,
  };
}
