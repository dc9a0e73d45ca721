import { expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { HeaderList } from "../../../src/http/message/headers.ts";
import { fieldSet, FORWARDED } from "../../../src/http/message/known-fields.ts";
import { defaultHttpLimits } from "../../../src/http/limits.ts";
import { ProtocolError } from "../../../src/http/message/protocol-error.ts";
import { readRequest, type ParsedRequest } from "../../../src/http/message/read-request.ts";
import { readResponse, type ParsedResponse } from "../../../src/http/message/read-response.ts";
import { passesAsItCame, pushRequestHead, responseText } from "../../../src/http/message/serialize.ts";
import { BufferView, type Piece } from "../../../src/runtime/tcp/tcp.ts";
import { generate } from "../fuzz/generate.ts";

const added = "X-Forwarded-For: 192.0.2.1\r\n";

function requestText(request: ParsedRequest, headers: HeaderList): string {
  const pieces: Piece[] = [];
  pushRequestHead(pieces, headers, request, { localAuthority: "127.0.0.1:80" });
  return pieces
    .map((piece) =>
      piece instanceof BufferView
        ? piece.bytes.toString("latin1", piece.from, piece.from + piece.length)
        : piece.toString("latin1"),
    )
    .join("");
}

/** The same fields, without the bytes in which they arrived. */
const writtenAgain = (headers: HeaderList): HeaderList => new HeaderList([...headers.flat]);

function requestOf(text: string): ParsedRequest | undefined {
  try {
    return readRequest(Buffer.from(text, "latin1"), 0, text.length, defaultHttpLimits)?.request;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function responseOf(text: string): { response: ParsedResponse; end: number } | undefined {
  try {
    return readResponse(Buffer.from(text, "latin1"), 0, text.length, "GET", defaultHttpLimits);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

test("a head that passes unchanged equals what the serializer would write, for 20,000 generated messages", () => {
  let requestsPassed = 0;
  let responsesPassed = 0;
  for (let seed = 1; seed <= 20_000; seed++) {
    const { kind, text } = generate(seed);
    if (kind === 0) {
      const request = requestOf(text);
      if (request === undefined) continue;
      const sent = requestText(request, request.headers.withLines(added, fieldSet(FORWARDED)));
      expect(sent).toBe(requestText(request, writtenAgain(request.headers).withLines(added, fieldSet(FORWARDED))));
      if (text.startsWith(sent.slice(0, -added.length - 2))) requestsPassed++;
    } else {
      const found = responseOf(text);
      if (found === undefined) continue;
      const { response, end } = found;
      const keepFraming = response.framing.kind === "none" && response.status !== 204;
      if (!passesAsItCame(response.headers, response, response.framing, keepFraming)) continue;
      responsesPassed++;
      expect(text.slice(0, end)).toBe(
        responseText(response, writtenAgain(response.headers), response.framing, keepFraming, undefined),
      );
    }
  }
  expect(requestsPassed).toBeGreaterThan(500);
  expect(responsesPassed).toBeGreaterThan(200);
});

const passes = (text: string): boolean => {
  const request = requestOf(text);
  if (request === undefined) throw new Error(`refused: ${text}`);
  return requestText(request, request.headers) === text;
};

test("a response's framing passes unchanged only where the serializer would write the same", () => {
  const passing = (fields: string): boolean => {
    const found = responseOf(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
    if (found === undefined) throw new Error(`refused: ${fields}`);
    return passesAsItCame(found.response.headers, found.response, found.response.framing, false);
  };
  expect([
    passing("Content-Length: 5\r\n"),
    passing("Transfer-Encoding: chunked\r\n"),
    passing("content-length: 0\r\n"),
  ]).toEqual([true, true, true]);
  expect([passing("Content-Length: 05\r\n"), passing("Transfer-Encoding: Chunked\r\n")]).toEqual([false, false]);
});

test.each([
  ["a usual request", "GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n", true],
  [
    "values with spaces inside, empty values and bytes beyond ASCII",
    "GET /?q=%C3 HTTP/1.1\r\nhost: a\r\nX-Empty: \r\nX: a  b\xe9\r\n\r\n",
    true,
  ],
  ["a length", "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 10\r\n\r\n", true],
  ["a length with leading zeros", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n", false],
  ["no space after the colon", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", false],
  ["two spaces after the colon", "GET / HTTP/1.1\r\nHost:  a\r\n\r\n", false],
  ["a space at the end of a value", "GET / HTTP/1.1\r\nHost: a \r\n\r\n", false],
  ["a tab after the colon", "GET / HTTP/1.1\r\nHost:\ta\r\n\r\n", false],
  ["an option of this hop", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nConnection: x\r\n\r\n", false],
  ["another hop-by-hop field", "GET / HTTP/1.1\r\nHost: a\r\nKEEP-ALIVE: x\r\n\r\n", false],
  ["HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", false],
])("framing that passes unchanged or is rewritten: %s", (_name, text, expected) => {
  expect(passes(text)).toBe(expected);
});
