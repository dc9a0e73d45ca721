/** A small mail server in this process: what it takes is kept, and how it answers is the test's. */
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import { certificateLocalhost } from "../http/certificates.ts";

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  /** As it came, without the dots that the transfer adds. */
  readonly text: string;
}

export interface MailServerManners {
  /** TLS from the start (smtps), before the greeting. */
  readonly isTls?: boolean;
  readonly offersStarttls?: boolean;
  /** Asked for, if set. */
  readonly login?: { readonly user: string; readonly password: string };
  /** Answers to a command by its first words, in place of the usual one; undefined: no answer at all. */
  readonly answers?: ReadonlyMap<string, string | undefined>;
}

export class FakeMailServer {
  readonly mails: Mail[] = [];
  /** Commands in their order, with `TLS` where the connection changed to it. */
  readonly commands: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #manners: MailServerManners;

  static async listen(manners: MailServerManners = {}): Promise<FakeMailServer> {
    const server = new FakeMailServer(manners);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  private constructor(manners: MailServerManners) {
    this.#manners = manners;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      new Session(this, manners).begin(socket);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return [...this.#sockets].filter((socket) => !socket.destroyed).length;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class Session {
  readonly #server: FakeMailServer;
  readonly #manners: MailServerManners;
  #socket: Socket | undefined;
  #text = "";
  #from = "";
  #to: string[] = [];
  #data: string[] | undefined;
  #isSecure = false;

  constructor(server: FakeMailServer, manners: MailServerManners) {
    this.#server = server;
    this.#manners = manners;
  }

  begin(socket: Socket): void {
    this.#use(socket);
    if (this.#manners.isTls === true) this.#secure();
    this.#answer("greeting", "220 mail.test ESMTP");
  }

  #use(socket: Socket): void {
    this.#socket = socket;
    this.#text = "";
    socket.on("data", (part: Buffer) => {
      if (this.#socket !== socket) return;
      this.#text += part.toString("utf8");
      for (let end = this.#text.indexOf("\r\n"); end >= 0; end = this.#text.indexOf("\r\n")) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        this.#take(line);
      }
    });
  }

  #answer(command: string, usual: string): void {
    const { answers } = this.#manners;
    const answer = answers?.has(command) === true ? answers.get(command) : usual;
    if (answer !== undefined) this.#socket?.write(`${answer}\r\n`);
  }

  #take(line: string): void {
    if (this.#data !== undefined) return this.#takeData(line);
    this.#server.commands.push(line);
    const [verb = ""] = line.split(" ");
    const [, address = ""] = /<(.*)>/.exec(line) ?? [];
    switch (verb) {
      case "EHLO":
        return this.#answer("EHLO", this.#features().join("\r\n"));
      case "STARTTLS":
        if (this.#manners.offersStarttls !== true) return this.#answer("STARTTLS", "502 5.5.1 not here");
        this.#answer("STARTTLS", "220 go ahead");
        return this.#secure();
      case "AUTH":
        return this.#answer("AUTH", this.#isRightLogin(line) ? "235 welcome" : "535 5.7.8 wrong name or password");
      case "MAIL":
        [this.#from, this.#to] = [address, []];
        return this.#answer("MAIL", "250 ok");
      case "RCPT":
        if (this.#manners.answers?.has(`RCPT ${address}`) !== true) this.#to.push(address);
        return this.#answer(`RCPT ${address}`, "250 ok");
      case "DATA":
        this.#data = [];
        return this.#answer("DATA", "354 end with a dot");
      case "QUIT":
        this.#answer("QUIT", "221 bye");
        this.#socket?.end();
        return;
      default:
        return this.#answer(verb, "250 ok");
    }
  }

  #takeData(line: string): void {
    if (line !== ".") {
      this.#data?.push(line.startsWith(".") ? line.slice(1) : line);
      return;
    }
    this.#server.mails.push({ from: this.#from, to: this.#to, text: (this.#data ?? []).join("\r\n") });
    this.#data = undefined;
    this.#answer("message", "250 taken");
  }

  #features(): string[] {
    const { offersStarttls = false, login } = this.#manners;
    return [
      ...["250-mail.test", "250-8BITMIME"],
      ...(offersStarttls && !this.#isSecure ? ["250-STARTTLS"] : []),
      ...(login === undefined ? [] : ["250-AUTH PLAIN"]),
      "250 SIZE 1000000",
    ];
  }

  #isRightLogin(line: string): boolean {
    const { user = "", password = "" } = this.#manners.login ?? {};
    return line === `AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString("base64")}`;
  }

  #secure(): void {
    const plain = this.#socket;
    if (plain === undefined) return;
    plain.removeAllListeners("data");
    const socket = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext(certificateLocalhost) });
    socket.on("error", () => undefined);
    socket.on("secure", () => this.#server.commands.push("TLS"));
    this.#isSecure = true;
    this.#use(socket);
  }
}
