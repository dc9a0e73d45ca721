/**
 * The floor: our own sockets in the same Bun, passing bytes on unread. No proxy can cost less on them. Arguments: port,
 * TLS port, backend's port, PEM file.
 */
import { readFileSync } from "node:fs";
import { ServerTls } from "../../src/http/server/server-tls.ts";
import { bunTcp } from "../../src/runtime/tcp/bun-tcp.ts";
import type { ChunkUse, TcpConnectUser, TcpSocket } from "../../src/runtime/tcp/tcp.ts";

const [port = "0", tlsPort = "0", backendPort = "0", pem = ""] = process.argv.slice(2);
const waitingBytesMax = 256 * 1024;

/** What is read from `#from` is written to `#to`. */
class Way implements TcpConnectUser {
  #from: TcpSocket | undefined;
  #to: TcpSocket | undefined;

  join(from: TcpSocket, to: TcpSocket): void {
    this.#from = from;
    this.#to = to;
  }

  /** The client was not read until now. */
  onConnect(): void {
    this.#to?.resume();
  }

  onData(chunk: Buffer): ChunkUse {
    this.#to?.write(chunk);
    if ((this.#to?.waitingBytes ?? 0) > waitingBytesMax) this.#from?.pause();
    return this.#to?.isClear === true ? "consumed" : undefined;
  }

  onEnd(): void {
    this.#to?.end();
  }

  onDrain(): void {
    this.#to?.resume();
  }

  onClose(): void {
    this.#to?.destroy();
  }
}

function onSocket(client: TcpSocket): void {
  const up = new Way();
  const down = new Way();
  client.pause();
  client.use(up);
  const upstream = bunTcp.connect("127.0.0.1", Number(backendPort), down);
  up.join(client, upstream);
  down.join(upstream, client);
}

const text = readFileSync(pem, "utf8");
await bunTcp.listen({ host: "127.0.0.1", port: Number(port) }, onSocket);
await new ServerTls({ cert: text, key: text }).listen({ host: "127.0.0.1", port: Number(tlsPort) }, onSocket);
process.stdout.write("ready\n");
