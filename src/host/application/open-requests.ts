/**
 * The requests that an application has and has not answered: how many, since when, and whether anything goes between it
 * and its clients.
 *
 * A request that sends its body for long moves with each part of it: an application with one thread may be waiting for
 * that client. A short one does not: what it sends is taken by the kernel, also for an application that hangs.
 */
import type { Exchange } from "../../http/upstream/exchange.ts";

export interface OpenRequest {
  readonly method: string;
  /** Without its query, which may hold what nobody else should read. */
  readonly path: string;
  readonly ageMs: number;
}

/** A request's body counts as movement after this. */
const longUploadMs = 1_000;
const pathCharactersMax = 200;

interface Open {
  readonly since: number;
  bodyBytes: number;
}

export class OpenRequests {
  readonly #open = new Map<Exchange, Open>();
  #traffic = 0;

  get size(): number {
    return this.#open.size;
  }

  begin(exchange: Exchange, now: number): void {
    this.#open.set(exchange, { since: now, bodyBytes: 0 });
  }

  end(exchange: Exchange): void {
    this.#open.delete(exchange);
  }

  /** Something of an answer has come. */
  onAnswer(): void {
    this.#traffic += 1;
  }

  /** Changes with every part of an answer and of a long request. */
  traffic(now: number): number {
    for (const [exchange, open] of this.#open) {
      if (exchange.bodyBytes === open.bodyBytes) continue;
      open.bodyBytes = exchange.bodyBytes;
      if (now - open.since >= longUploadMs) this.#traffic += 1;
    }
    return this.#traffic;
  }

  /**
   * At most `max`: those without any answer before those that are being answered (streams, tunnels), each the oldest
   * first.
   */
  oldest(max: number, now: number): OpenRequest[] {
    // A map keeps the order in which they came.
    const all = [...this.#open];
    const sorted = [
      ...all.filter(([exchange]) => !exchange.hasResponseStarted),
      ...all.filter(([exchange]) => exchange.hasResponseStarted),
    ];
    return sorted.slice(0, max).map(([{ request }, { since }]) => ({
      method: request.method,
      path: (request.target.split("?", 1)[0] ?? "").slice(0, pathCharactersMax),
      ageMs: now - since,
    }));
  }
}
