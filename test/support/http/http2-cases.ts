/** Frames and requests that break RFC 9113, for each runtime's node:http2; the names have h2spec's sections. */
import { Buffer } from "node:buffer";
import { block, endHeaders, endStream, type FrameClient, pseudo } from "./frame-client.ts";

const [protocol, , flowControl, , , frameSize] = [1, 2, 3, 4, 5, 6];
const compression = 9;

export const whole = endStream | endHeaders;
export const request = (fields: readonly (readonly [string, string])[]): Buffer => block(fields);
export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
export const setting = (id: number, value: number): Buffer => Buffer.concat([Buffer.from([0, id]), uint32(value)]);

export interface Wrong {
  readonly name: string;
  send(to: FrameClient): void;
  /** Codes of the connection's error that are right (5.4.1: its end without a GOAWAY is too). */
  readonly codes: readonly (number | undefined)[];
}

export const ofConnection: readonly Wrong[] = [
  {
    name: "3.5: a preface that is none",
    send: (to) => void to.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    codes: [protocol],
  },
  {
    name: "4.2: a frame beyond SETTINGS_MAX_FRAME_SIZE",
    send: (to) => to.send("headers", whole, 1, Buffer.alloc(20_000)),
    codes: [frameSize],
  },
  {
    name: "4.3: a header block that cannot be read",
    send: (to) => to.send("headers", whole, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
    codes: [compression],
  },
  {
    name: "4.3: another frame within a header block",
    send: (to) => {
      to.send("headers", endStream, 1, request(pseudo("GET", "/")));
      to.send("ping", 0, 0, Buffer.alloc(8));
    },
    codes: [protocol],
  },
  { name: "5.1: RST_STREAM on an idle stream", send: (to) => to.send("rstStream", 0, 1, uint32(8)), codes: [protocol] },
  {
    name: "5.1: CONTINUATION on an idle stream",
    send: (to) => to.send("continuation", endHeaders, 1, request(pseudo("GET", "/"))),
    codes: [protocol],
  },
  { name: "5.1.1: an even stream", send: (to) => to.get(2), codes: [protocol] },
  { name: "6.1: DATA on stream 0", send: (to) => to.send("data", 0, 0, "x"), codes: [protocol] },
  { name: "6.2: HEADERS on stream 0", send: (to) => to.get(0), codes: [protocol] },
  {
    name: "6.2: padding longer than the frame",
    send: (to) => to.send("headers", whole | 8, 1, Buffer.concat([Buffer.from([200]), request(pseudo("GET", "/"))])),
    codes: [protocol, frameSize],
  },
  { name: "6.3: PRIORITY on stream 0", send: (to) => to.send("priority", 0, 0, Buffer.alloc(5)), codes: [protocol] },
  { name: "6.4: RST_STREAM on stream 0", send: (to) => to.send("rstStream", 0, 0, uint32(8)), codes: [protocol] },
  {
    name: "6.4: RST_STREAM of a wrong length",
    send: (to) => {
      to.get(1);
      to.send("rstStream", 0, 1, "abc");
    },
    codes: [frameSize],
  },
  { name: "6.5: SETTINGS on a stream", send: (to) => to.send("settings", 0, 1, setting(3, 1)), codes: [protocol] },
  { name: "6.5: SETTINGS of a wrong length", send: (to) => to.send("settings", 0, 0, "abc"), codes: [frameSize] },
  {
    name: "6.5: an acknowledgement with a payload",
    send: (to) => to.send("settings", 1, 0, setting(3, 1)),
    codes: [frameSize],
  },
  { name: "6.5.2: ENABLE_PUSH of 2", send: (to) => to.send("settings", 0, 0, setting(2, 2)), codes: [protocol] },
  {
    name: "6.5.2: INITIAL_WINDOW_SIZE beyond its bound",
    send: (to) => to.send("settings", 0, 0, setting(4, 2 ** 31)),
    codes: [flowControl],
  },
  {
    name: "6.5.2: MAX_FRAME_SIZE below its bound",
    send: (to) => to.send("settings", 0, 0, setting(5, 100)),
    codes: [protocol],
  },
  {
    name: "6.6: PUSH_PROMISE of a client",
    send: (to) => {
      to.get(1);
      to.send("pushPromise", endHeaders, 1, Buffer.concat([uint32(2), request(pseudo("GET", "/"))]));
    },
    codes: [protocol],
  },
  { name: "6.7: PING on a stream", send: (to) => to.send("ping", 0, 1, Buffer.alloc(8)), codes: [protocol] },
  { name: "6.7: PING of a wrong length", send: (to) => to.send("ping", 0, 0, "abc"), codes: [frameSize] },
  { name: "6.8: GOAWAY on a stream", send: (to) => to.send("goaway", 0, 1, Buffer.alloc(8)), codes: [protocol] },
  {
    name: "6.9: WINDOW_UPDATE of 0 for the connection",
    send: (to) => to.send("windowUpdate", 0, 0, uint32(0)),
    codes: [protocol],
  },
  {
    name: "6.9: WINDOW_UPDATE of a wrong length",
    send: (to) => to.send("windowUpdate", 0, 0, "abc"),
    codes: [frameSize],
  },
  {
    name: "6.9.1: a window beyond its bound",
    send: (to) => {
      to.send("windowUpdate", 0, 0, uint32(2 ** 31 - 1));
      to.send("windowUpdate", 0, 0, uint32(2 ** 31 - 1));
    },
    codes: [flowControl],
  },
];

export const malformed: readonly (readonly [name: string, fields: readonly (readonly [string, string])[]])[] = [
  ["8.2: a name in upper case", [...pseudo("GET", "/"), ["X-Upper", "1"]]],
  ["8.2.1: a value with a line", [...pseudo("GET", "/"), ["x-own", "1\r\nx-smuggled: 1"]]],
  ["8.2.1: a value with NUL", [...pseudo("GET", "/"), ["x-own", "a\0b"]]],
  ["8.2.1: a name with a colon", [...pseudo("GET", "/"), ["x:own", "1"]]],
  ["8.2.1: a name with a space", [...pseudo("GET", "/"), ["x own", "1"]]],
  ["8.2.2: connection", [...pseudo("GET", "/"), ["connection", "keep-alive"]]],
  ["8.2.2: transfer-encoding", [...pseudo("POST", "/"), ["transfer-encoding", "chunked"]]],
  ["8.2.2: te with gzip", [...pseudo("GET", "/"), ["te", "gzip"]]],
  ["8.3: an unknown pseudo-field", [...pseudo("GET", "/"), [":own", "1"]]],
  ["8.3: a pseudo-field of responses", [...pseudo("GET", "/"), [":status", "200"]]],
  [
    "8.3: a pseudo-field behind another field",
    [
      [":method", "GET"],
      ["x-own", "1"],
      [":scheme", "https"],
      [":authority", "a"],
      [":path", "/"],
    ],
  ],
  ["8.3.1: no method", pseudo("GET", "/").slice(1)],
  ["8.3.1: no path", pseudo("GET", "/").slice(0, 3)],
  ["8.3.1: an empty path", pseudo("GET", "")],
  ["8.3.1: two methods", [[":method", "GET"], ...pseudo("GET", "/")]],
  ["8.3.1: a path with a line", pseudo("GET", "/ HTTP/1.1\r\nHost: b\r\n\r\n")],
  ["8.3.1: a path with a space", pseudo("GET", "/a b")],
  ["8.3.1: a method with a space", pseudo("GET / HTTP/1.1\r\nX: ", "/")],
  [
    "8.3.1: an authority with a line",
    [
      [":method", "GET"],
      [":scheme", "https"],
      [":authority", "a\r\nx: 1"],
      [":path", "/"],
    ],
  ],
  ["8.3.1: a host that contradicts the authority", [...pseudo("GET", "/"), ["host", "b.example"]]],
  ["8.1.1: a content-length that is not the body's", [...pseudo("POST", "/"), ["content-length", "5"]]],
];
