/**
 * A backend that records every byte it gets and answers with exactly the bytes it is told: no HTTP library in between.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { waitFor } from "./raw-client.ts";

export interface BackendConnection {
  readonly socket: Socket;
  /** Everything received on this connection, latin1. */
  received: string;
  ended: boolean;
  closed: boolean;
}

export class RawBackend {
  readonly connections: BackendConnection[] = [];
  /** Called for each new connection. */
  onConnection: (socket: Socket) => void = () => undefined;
  readonly #server: Server;
  readonly #onData: (connection: BackendConnection, backend: RawBackend) => void;

  /** `onData` is called after each arrival. */
  static async listen(
    onData: (connection: BackendConnection, backend: RawBackend) => void = () => undefined,
    port = 0,
  ): Promise<RawBackend> {
    const backend = new RawBackend(onData);
    await new Promise<void>((resolve) => backend.#server.listen(port, "127.0.0.1", resolve));
    return backend;
  }

  /** Answers each complete request without a body with the same bytes. */
  static answering(response: string): Promise<RawBackend> {
    return RawBackend.listen((connection) => {
      while (connection.received.includes("\r\n\r\n")) {
        const end = connection.received.indexOf("\r\n\r\n") + 4;
        const head = connection.received.slice(0, end);
        const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
        if (connection.received.length < end + length) return;
        connection.received = connection.received.slice(end + length);
        connection.socket.write(response, "latin1");
      }
    });
  }

  private constructor(onData: (connection: BackendConnection, backend: RawBackend) => void) {
    this.#onData = onData;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const connection: BackendConnection = { socket, received: "", ended: false, closed: false };
      this.connections.push(connection);
      socket.on("data", (chunk) => {
        connection.received += chunk.toString("latin1");
        this.#onData(connection, this);
      });
      socket.on("end", () => (connection.ended = true));
      socket.on("close", () => (connection.closed = true));
      socket.on("error", () => undefined);
      this.onConnection(socket);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get last(): BackendConnection {
    const connection = this.connections.at(-1);
    if (connection === undefined) throw new Error("no connection to the backend yet");
    return connection;
  }

  async close(): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Waits until the backend has accepted that many connections. */
export async function waitForConnections(backend: RawBackend, count: number): Promise<void> {
  await waitFor(() => backend.connections.length >= count);
}

/** Answers each whole request without a body, and tells it. */
export function answerEach(
  answer: string,
  onRequest: (request: string) => void,
): (connection: BackendConnection) => void {
  return (connection) => {
    if (!connection.received.includes("\r\n\r\n")) return;
    onRequest(connection.received);
    connection.received = "";
    connection.socket.write(answer, "latin1");
  };
}
