/** A client of HTTP/2 that sends and collects exact frames over TLS (RFC 9113, 4.1). Header blocks are literals. */
import { Buffer } from "node:buffer";
import { connect, type TLSSocket } from "node:tls";
import { waitFor } from "./raw-client.ts";

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export type FrameType = keyof typeof frameTypes;
export const endStream = 1;
export const endHeaders = 4;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

export class FrameClient {
  readonly socket: TLSSocket;
  readonly frames: Frame[] = [];
  closed = false;
  #kept: Buffer = Buffer.alloc(0);

  /** With the preface and empty settings sent, unless `start` is false. */
  static connect(port: number, start = true): Promise<FrameClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
      const client = new FrameClient(socket);
      socket.once("secureConnect", () => {
        if (start) {
          socket.write(preface);
          client.send("settings", 0, 0, "");
        }
        resolve(client);
      });
      socket.once("error", reject);
    });
  }

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("end", () => (this.closed = true));
    socket.on("close", () => (this.closed = true));
    socket.on("error", () => undefined);
  }

  send(type: FrameType | number, flags: number, stream: number, payload: string | Buffer): void {
    const bytes = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
    const head = Buffer.alloc(9);
    head.writeUIntBE(bytes.length, 0, 3);
    head[3] = typeof type === "number" ? type : frameTypes[type];
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    this.socket.write(Buffer.concat([head, bytes]));
  }

  /** A whole request without a body. */
  get(stream: number, path = "/", more: readonly (readonly [string, string])[] = []): void {
    this.send("headers", endStream | endHeaders, stream, block([...pseudo("GET", path), ...more]));
  }

  of(type: FrameType, stream?: number): Frame[] {
    return this.frames.filter((f) => f.type === frameTypes[type] && (stream === undefined || f.stream === stream));
  }

  /** Error code of the first frame that ended the connection or the stream; undefined: none. */
  codeOf(type: "goaway" | "rstStream", stream?: number): number | undefined {
    return this.of(type, stream)[0]?.payload.readUInt32BE(type === "goaway" ? 4 : 0);
  }

  until(condition: () => boolean): Promise<void> {
    const seen = () =>
      JSON.stringify({ frames: this.frames.map(({ type, stream }) => [type, stream]), closed: this.closed });
    return waitFor(condition, seen);
  }

  destroy(): void {
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#kept = Buffer.concat([this.#kept, chunk]);
    while (this.#kept.length >= 9) {
      const length = this.#kept.readUIntBE(0, 3);
      if (this.#kept.length < 9 + length) return;
      const [type = 0, flags = 0] = this.#kept.subarray(3, 5);
      const stream = this.#kept.readUInt32BE(5) & 0x7fff_ffff;
      this.frames.push({ type, flags, stream, payload: Buffer.from(this.#kept.subarray(9, 9 + length)) });
      this.#kept = this.#kept.subarray(9 + length);
    }
  }
}

export const pseudo = (method: string, path: string): [string, string][] => [
  [":method", method],
  [":scheme", "https"],
  [":authority", "a.example"],
  [":path", path],
];

/** Literal fields without indexing, without Huffman coding (RFC 7541, 6.2.2). */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const rest: number[] = [];
  let left = bytes.length - 127;
  for (; left >= 128; left = Math.floor(left / 128)) rest.push((left % 128) + 128);
  return Buffer.concat([Buffer.from([127, ...rest, left]), bytes]);
}
