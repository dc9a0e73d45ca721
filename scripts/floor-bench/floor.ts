/**
 * The floor of `bench:gate` and `bench:files`: no host can cost less on this runtime and machine. Our own sockets pass
 * bytes on unread, and before an answer is passed on, what clients have sent until then is written to one preallocated
 * file and synced, once for all that wait. Nothing is parsed, hashed, or read from the application's folder. Arguments:
 * port, the application's port, the file.
 */
import { fdatasync, openSync, write, writeSync } from "node:fs";
import { promisify } from "node:util";
import { bunTcp } from "../../src/runtime/tcp/bun-tcp.ts";
import type { ChunkUse, TcpConnectUser, TcpSocket } from "../../src/runtime/tcp/tcp.ts";

const [port = "0", applicationPort = "0", file = ""] = process.argv.slice(2);
const waitingBytesMax = 1024 * 1024;
const fileBytes = 64 * 1024 * 1024;
const writeTo = promisify(write);
const sync = promisify(fdatasync);

/** What clients have sent, and who waits for it. */
class Journal {
  readonly #fd = openSync(file, "w+");
  #offset = 0;
  #chunks: Buffer[] = [];
  #waiting: (() => void)[] = [];
  #isWriting = false;

  constructor() {
    const zeros = Buffer.alloc(1024 * 1024);
    for (let at = 0; at < fileBytes; at += zeros.length) writeSync(this.#fd, zeros, 0, zeros.length, at);
  }

  add(chunk: Buffer): void {
    this.#chunks.push(Buffer.from(chunk));
  }

  /** Calls back when everything that was added until now is durable. */
  whenDurable(done: () => void): void {
    this.#waiting.push(done);
    if (!this.#isWriting) this.#write().catch(() => process.exit(1));
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const [chunks, waiting] = [this.#chunks, this.#waiting];
      [this.#chunks, this.#waiting] = [[], []];
      for (const chunk of chunks) {
        if (this.#offset + chunk.length > fileBytes) this.#offset = 0;
        await writeTo(this.#fd, chunk, 0, chunk.length, this.#offset);
        this.#offset += chunk.length;
      }
      await sync(this.#fd);
      for (const done of waiting) done();
    }
    this.#isWriting = false;
  }
}

const journal = new Journal();

/** What is read from one socket goes to the other. */
class Way implements TcpConnectUser {
  readonly #isAnswer: boolean;
  #from: TcpSocket | undefined;
  #to: TcpSocket | undefined;

  constructor(isAnswer: boolean) {
    this.#isAnswer = isAnswer;
  }

  join(from: TcpSocket, to: TcpSocket): void {
    this.#from = from;
    this.#to = to;
  }

  onConnect(): void {
    this.#to?.resume();
  }

  onData(chunk: Buffer): ChunkUse {
    if (this.#isAnswer) {
      journal.whenDurable(() => this.#to?.write(chunk));
      return undefined;
    }
    journal.add(chunk);
    this.#to?.write(chunk);
    if ((this.#to?.waitingBytes ?? 0) > waitingBytesMax) this.#from?.pause();
    return this.#to?.isClear === true ? "consumed" : undefined;
  }

  onEnd(): void {
    if (this.#isAnswer) journal.whenDurable(() => this.#to?.end());
    else this.#to?.end();
  }

  onDrain(): void {
    this.#to?.resume();
  }

  onClose(): void {
    if (this.#isAnswer) journal.whenDurable(() => this.#to?.destroy());
    else this.#to?.destroy();
  }
}

await bunTcp.listen({ host: "127.0.0.1", port: Number(port) }, (client) => {
  const [up, down] = [new Way(false), new Way(true)];
  client.pause();
  client.use(up);
  const upstream = bunTcp.connect("127.0.0.1", Number(applicationPort), down);
  up.join(client, upstream);
  down.join(upstream, client);
});
