/** A relay between a client and a vault server that breaks connections at a chosen byte of a put, or delays the put. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

/** The fate of the next put of a record: after how many bytes of the request, or of its answer, the connection ends. */
export type Break =
  | { readonly kind: "request"; readonly bytes: number }
  | { readonly kind: "answer"; readonly bytes: number }
  /** The client sees the connection end; the request arrives when `arrive` is called. */
  | { readonly kind: "late" };

interface Late {
  readonly server: Socket;
  readonly bytes: Buffer;
}

export class BreakingRelay {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  readonly #breaks: Break[] = [];
  readonly #late: Late[] = [];
  /** Bytes of the last request of a put that went through whole, and of its answer. */
  requestBytes = 0;
  answerBytes = 0;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    server.on("connection", (client) => this.#relay(client));
  }

  static async to(target: number): Promise<BreakingRelay> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new BreakingRelay(server, target);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  breakNext(how: Break): void {
    this.#breaks.push(how);
  }

  /** Lets late puts arrive, and waits for their answers. */
  async arrive(): Promise<void> {
    for (const { server, bytes } of this.#late.splice(0)) {
      const answered = once(server, "data");
      server.write(bytes);
      await answered;
      server.destroy();
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #relay(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    let answerLeft = Infinity;
    let isPut = false;
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.setNoDelay(true);
    }
    client.on("data", (chunk: Buffer) => {
      isPut = chunk.includes("PUT /v1/log/");
      const how = isPut ? this.#breaks.shift() : undefined;
      if (isPut) this.requestBytes = chunk.length;
      if (how === undefined) server.write(chunk);
      else if (how.kind === "late") {
        this.#late.push({ server, bytes: Buffer.from(chunk) });
        client.destroy();
      } else if (how.kind === "request") {
        server.end(chunk.subarray(0, how.bytes));
        client.destroy();
      } else {
        answerLeft = how.bytes;
        server.write(chunk);
      }
    });
    server.on("data", (chunk: Buffer) => {
      if (isPut) this.answerBytes = chunk.length;
      client.write(chunk.subarray(0, answerLeft));
      if (chunk.length >= answerLeft) client.end();
    });
    client.on("close", () => {
      if (!this.#late.some((late) => late.server === server)) server.end();
    });
    server.on("close", () => client.destroy());
  }
}
