/**
 * Stands before a control API: passes bytes on, until it is told to be silent as a firewall that drops is silent. What
 * was connected stays connected and hears nothing more, what connects is taken and hears nothing.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

export class ControlRelay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #to: URL;
  #isSilent = false;

  private constructor(to: URL) {
    this.#to = to;
    this.#server = createServer((near) => this.#onConnection(near));
  }

  static async before(controlUrl: string): Promise<ControlRelay> {
    const relay = new ControlRelay(new URL(controlUrl));
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  }

  silence(): void {
    this.#isSilent = true;
  }

  /** Passes on again; connections from the silent time end. */
  speak(): void {
    this.#isSilent = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #onConnection(near: Socket): void {
    this.#own(near);
    if (this.#isSilent) return;
    const far = connect({ host: this.#to.hostname, port: Number(this.#to.port) });
    this.#own(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (bytes) => {
        if (!this.#isSilent) to.write(bytes);
      });
      from.on("close", () => to.destroy());
    }
  }

  #own(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
