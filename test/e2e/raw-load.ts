/**
 * Clients that count every refused, reset or unanswered request: keep-alive ones, and ones with a connection per
 * request.
 */
import { connect, type Socket } from "node:net";

export class RawLoad {
  answered = 0;
  readonly failures: string[] = [];
  readonly #port: number;
  readonly #clients: Promise<void>[];
  #going = true;

  constructor(port: number, clients: number) {
    this.#port = port;
    this.#clients = Array.from({ length: clients }, (_, index) => this.#run(index % 2 === 0));
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#clients);
  }

  async #run(keepAlive: boolean): Promise<void> {
    let socket: Socket | null = null;
    for (let nth = 0; this.#going; nth++) {
      try {
        socket ??= await open(this.#port);
        const head = await exchange(socket, nth % 3 === 0 ? post(keepAlive) : get(keepAlive));
        if (!head.startsWith("HTTP/1.1 200")) this.failures.push(head.split("\r\n", 1)[0] ?? head);
        this.answered++;
        if (/^connection: close/im.test(head)) {
          socket.destroy();
          socket = null;
        }
      } catch (error) {
        this.failures.push(error instanceof Error ? error.message : String(error));
        socket?.destroy();
        socket = null;
      }
    }
    socket?.destroy();
  }
}

const connection = (keepAlive: boolean): string => (keepAlive ? "" : "Connection: close\r\n");
const get = (keepAlive: boolean): string => `GET /x HTTP/1.1\r\nHost: a\r\n${connection(keepAlive)}\r\n`;
const post = (keepAlive: boolean): string =>
  `POST /x HTTP/1.1\r\nHost: a\r\n${connection(keepAlive)}Content-Length: 5\r\n\r\nhello`;

export function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.once("connect", () => {
      socket.removeListener("error", reject);
      socket.on("error", () => undefined); // `exchange` sees the close
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

/** Sends one request; resolves with the head when the response, framed by Content-Length, is complete. */
export function exchange(socket: Socket, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const done = (settle: () => void): void => {
      socket.removeListener("data", onData);
      socket.removeListener("close", onClose);
      settle();
    };
    const onData = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end === -1) return;
      const length = Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? 0);
      if (text.length >= end + 4 + length) done(() => resolve(text.slice(0, end)));
    };
    const onClose = (): void =>
      done(() => reject(new Error(text === "" ? "closed without an answer" : "closed within the answer")));
    socket.on("data", onData);
    socket.once("close", onClose);
    if (socket.destroyed) onClose();
    else socket.write(request);
  });
}
