/** All messages that the codec reads out of some bytes, in the shape the trusted parser reports. */
import type { Buffer } from "node:buffer";
import { BodyReader } from "../../../src/http/message/body-reader.ts";
import type { Framing } from "../../../src/http/message/head.ts";
import type { HeaderList } from "../../../src/http/message/headers.ts";
import { defaultHttpLimits } from "../../../src/http/limits.ts";
import { ProtocolError } from "../../../src/http/message/protocol-error.ts";
import { readRequest } from "../../../src/http/message/read-request.ts";
import { readResponse } from "../../../src/http/message/read-response.ts";

export type Message = [
  start: string | number,
  second: string,
  version: string,
  headers: string[],
  body: string,
  trailers: string[],
];

export interface Reading {
  messages: Message[];
  /** `close`: the last message ends the connection, `upgrade`: it asks for a tunnel; what follows is not looked at. */
  end: "ok" | "incomplete" | "close" | "upgrade" | `error ${string}`;
}

export function readAll(kind: 0 | 1 | 2, bytes: Buffer): Reading {
  const messages: Message[] = [];
  let at = 0;
  try {
    while (at < bytes.length) {
      let message: Message;
      let framing: Framing;
      let stop: "close" | "upgrade" | undefined;
      if (kind === 0) {
        const found = readRequest(bytes, at, bytes.length, defaultHttpLimits);
        if (found === undefined) return { messages, end: "incomplete" };
        const { request } = found;
        at = found.end;
        framing = request.framing;
        message = [request.method, request.target, request.version, [...request.headers.flat], "", []];
        if (request.connectionOptions.includes("upgrade") && request.headers.has("upgrade")) stop = "upgrade";
        else if (!request.keepAlive) stop = "close";
      } else {
        const found = readResponse(bytes, at, bytes.length, kind === 1 ? "GET" : "HEAD", defaultHttpLimits);
        if (found === undefined) return { messages, end: "incomplete" };
        const { response } = found;
        at = found.end;
        framing = response.framing;
        message = [response.status, response.reason, response.version, [...response.headers.flat], "", []];
        if (response.status === 101) stop = "upgrade";
        else if (!response.keepAlive) stop = "close";
      }
      const reader = new BodyReader(framing, defaultHttpLimits);
      at = reader.read(bytes, at, {
        onBody: (data, from, to) => (message[4] += data.toString("latin1", from, to)),
        onBodyEnd: (trailers: HeaderList | undefined) => (message[5] = [...(trailers?.flat ?? [])]),
      });
      if (!reader.isDone && framing.kind !== "close") return { messages, end: "incomplete" };
      messages.push(message);
      if (stop !== undefined) return { messages, end: stop };
    }
    return { messages, end: "ok" };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { messages, end: `error ${error.code}` };
  }
}
