/**
 * Both example applications in memory, behind a real HTTP listener, with faults to order: what the demo's judge must
 * catch.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** `every`: from the so-manieth write (or read) on, once or each time, as the name says. */
export type Fault =
  | { readonly kind: "none" }
  /** Acknowledges one write and forgets it, as an asynchronous replica does. */
  | { readonly kind: "loses-last-writes"; readonly atWrite: number; readonly count: number }
  | { readonly kind: "loses-one-from-the-middle"; readonly atWrite: number }
  | { readonly kind: "duplicates"; readonly atWrite: number }
  /** From then on some reads come from the state as it was. */
  | { readonly kind: "stale-reads"; readonly atWrite: number }
  /** Shows a write to readers, then takes it back before it is acknowledged, and answers "unknown". */
  | { readonly kind: "shows-and-takes-back"; readonly atWrite: number }
  | { readonly kind: "unknown-that-happened"; readonly atWrite: number }
  | { readonly kind: "unknown-that-did-not"; readonly atWrite: number }
  | { readonly kind: "error"; readonly atWrite: number }
  | { readonly kind: "breaks-the-sum"; readonly atWrite: number };

interface Row {
  revision: number;
  /** Note id or transfer. */
  note: number;
  text: string;
  transfer?: { id: string; from: number; to: number; amount: number };
}

const accountCount = 20;

export class FakeApplication {
  readonly #fault: Fault;
  readonly #server: Server;
  #rows: Row[] = [];
  #frozen: Row[] | undefined;
  #writes = 0;
  #reads = 0;
  #notes = 0;
  #stolen = 0;

  constructor(fault: Fault) {
    this.#fault = fault;
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => send(response, 500, { error: String(error) }));
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? "/", "http://fake");
    const body: unknown = chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString());
    if (request.method === "GET") this.#read(url, response);
    else this.#write(request.method ?? "", url, body as Record<string, unknown>, response);
  }

  #read(url: URL, response: ServerResponse): void {
    this.#reads += 1;
    const rows = this.#frozen !== undefined && this.#reads % 3 === 0 ? this.#frozen : this.#rows;
    const latest = rows.at(-1)?.revision ?? 0;
    const after = Number(url.searchParams.get("after") ?? 0);
    const page = rows.filter((row) => row.revision > after).slice(0, Number(url.searchParams.get("limit") ?? 100));
    const part = url.pathname.split("/")[2];
    if (url.pathname === "/changes") return send(response, 200, { latest, changes: page });
    if (url.pathname === "/transfers") return send(response, 200, { latest, transfers: page.map(asTransfer) });
    if (url.pathname === "/accounts") return send(response, 200, { latest, accounts: this.#balances(rows) });
    const row = rows.findLast((one) =>
      url.pathname.startsWith("/notes/") ? one.note === Number(part) : one.transfer?.id === part,
    );
    if (row === undefined) return send(response, 404, {});
    send(
      response,
      200,
      row.transfer === undefined ? { id: row.note, text: row.text, revision: row.revision } : asTransfer(row),
    );
  }

  #write(method: string, url: URL, body: Record<string, unknown>, response: ServerResponse): void {
    this.#writes += 1;
    const fault =
      this.#fault.kind !== "none" && this.#writes === this.#fault.atWrite ? this.#fault : { kind: "none" as const };
    const unknown = (): void => send(response, 502, {}, { "Stead-Outcome": "unknown" });
    if (fault.kind === "unknown-that-did-not") return unknown();
    if (fault.kind === "error") return send(response, 500, {});
    if (fault.kind === "stale-reads") this.#frozen = [...this.#rows];
    const row = this.#append(method, url, body);
    const answer =
      row.transfer === undefined ? { id: row.note, text: row.text, revision: row.revision } : asTransfer(row);
    switch (fault.kind) {
      case "duplicates":
        this.#append("POST", url, body);
        break;
      case "loses-last-writes":
        this.#rows.splice(-fault.count, fault.count);
        break;
      case "loses-one-from-the-middle": {
        const index = this.#rows.length - 3;
        this.#rows.splice(index, 1);
        break;
      }
      case "breaks-the-sum":
        this.#stolen = 1;
        break;
      case "unknown-that-happened":
        return unknown();
      case "shows-and-takes-back":
        this.#takeBackOnceShown(row, unknown);
        return;
      case "none":
      case "stale-reads":
        break;
    }
    send(response, method === "PUT" ? 200 : 201, answer);
  }

  /** Once a read has shown it (the next read of a list does), the row goes; a later write takes its revision. */
  #takeBackOnceShown(row: Row, answer: () => void): void {
    const readsThen = this.#reads;
    const look = (): void => {
      if (this.#reads < readsThen + 20) {
        setImmediate(look);
        return;
      }
      this.#rows = this.#rows.filter((one) => one !== row).map((one, index) => ({ ...one, revision: index + 1 }));
      answer();
    };
    look();
  }

  #append(method: string, url: URL, body: Record<string, unknown>): Row {
    const revision = (this.#rows.at(-1)?.revision ?? 0) + 1;
    const note = method === "PUT" ? Number(url.pathname.split("/")[2]) : (this.#notes += 1);
    const row: Row =
      url.pathname === "/transfer"
        ? { revision, note: 0, text: "", transfer: body as unknown as NonNullable<Row["transfer"]> }
        : { revision, note, text: String(body["text"]) };
    this.#rows.push(row);
    return row;
  }

  #balances(rows: readonly Row[]): { id: number; balance: number }[] {
    const balances = Array.from({ length: accountCount }, (_, index) => ({ id: index + 1, balance: 1000 }));
    for (const { transfer } of rows) {
      if (transfer === undefined) continue;
      const [source, target] = [balances[transfer.from - 1], balances[transfer.to - 1]];
      if (source !== undefined) source.balance -= transfer.amount;
      if (target !== undefined) target.balance += transfer.amount;
    }
    if (balances[0] !== undefined) balances[0].balance -= this.#stolen;
    return balances;
  }
}

const asTransfer = (row: Row): unknown => ({ seq: row.revision, ...row.transfer });

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}
