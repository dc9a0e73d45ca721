/**
 * The requests in flight in an application: how many, since when, and whether there is traffic between it and its
 * clients.
 *
 * A long upload counts as progress with each part: a single-threaded application may be waiting for that client. A
 * short one does not: the kernel takes its bytes even for a hung application.
 */
import type { Exchange } from "../../http/upstream/exchange.ts";

export interface OpenRequest {
  readonly method: string;
  /** Without its query, which may be confidential. */
  readonly path: string;
  readonly ageMs: number;
}

/** A request's body counts as progress after this. */
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

  remove(exchange: Exchange): void {
    this.#open.delete(exchange);
  }

  /** Records a part of a response. */
  onAnswer(): void {
    this.#traffic += 1;
  }

  /** Changes with every part of a response and of a long request. */
  traffic(now: number): number {
    for (const [exchange, open] of this.#open) {
      if (exchange.bodyBytes === open.bodyBytes) continue;
      open.bodyBytes = exchange.bodyBytes;
      if (now - open.since >= longUploadMs) this.#traffic += 1;
    }
    return this.#traffic;
  }

  /**
   * Returns at most `max`: requests without any response before those being answered (streams, tunnels), each oldest
   * first.
   */
  oldest(max: number, now: number): OpenRequest[] {
    // A map keeps the order of arrival.
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
