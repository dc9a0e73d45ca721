/** A client that sends exact bytes and collects exact bytes. */
import { connect, type Socket } from "node:net";

export class RawClient {
  readonly socket: Socket;
  /** Everything received, latin1. */
  received = "";
  ended = false;
  closed = false;
  errorCode: string | undefined;

  static connect(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      const client = new RawClient(socket);
      socket.once("connect", () => resolve(client));
      socket.once("error", reject);
    });
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => (this.received += chunk.toString("latin1")));
    socket.on("end", () => (this.ended = true));
    socket.on("close", () => (this.closed = true));
    socket.on("error", (error: NodeJS.ErrnoException) => (this.errorCode = error.code ?? error.message));
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  end(): void {
    this.socket.end();
  }

  /** Waits until what was received so far satisfies `condition`. */
  async until(condition: (received: string) => boolean): Promise<string> {
    await waitFor(
      () => condition(this.received),
      () => `received so far: ${JSON.stringify(this.received.slice(0, 2000))}`,
    );
    return this.received;
  }

  /** Waits for the server's end or the connection's. */
  async untilEnd(): Promise<string> {
    await waitFor(
      () => this.ended || this.closed,
      () => `still open; received so far: ${JSON.stringify(this.received.slice(0, 2000))}`,
    );
    return this.received;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Waits for a condition; the bound only turns a hang into a readable failure. */
export async function waitFor(
  condition: () => boolean,
  describe: () => string = () => "condition not met",
  boundMs = 4_000,
): Promise<void> {
  const started = performance.now();
  while (!condition()) {
    if (performance.now() - started > boundMs) throw new Error(`gave up waiting: ${describe()}`);
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
  }
}

/** Sends this on a connection of its own, and returns everything received until the other side ends it, latin1. */
export async function exchange(port: number, text: string): Promise<string> {
  const client = await RawClient.connect(port);
  client.send(text);
  const received = await client.untilEnd();
  client.destroy();
  return received;
}
