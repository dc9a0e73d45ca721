/**
 * Hrana streams: the state that a client may keep between two pipelines. On a read-only server without interactive
 * transactions that is only the SQL texts that it stored.
 *
 * A baton is 128 random bits and valid for one request; the answer carries the next one. A guessed, repeated or
 * reordered baton therefore finds nothing, and a stream whose client has gone is forgotten after `idleMs`.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../../../runtime/clock.ts";

/** Streams that wait for their next pipeline; beyond it the oldest is forgotten. */
export const streamsMax = 256;
export const storedTextsMax = 128;
export const streamIdleMs = 30_000;
/** Stored texts of one stream together, in characters. */
export const storedLengthMax = 200_000;

export class HranaStream {
  readonly #texts = new Map<number, string>();
  isClosed = false;

  /** Returns false if it would exceed the limit. */
  store(id: number, sql: string): boolean {
    const others = [...this.#texts].filter(([known]) => known !== id);
    const length = others.reduce((sum, [, text]) => sum + text.length, sql.length);
    if (others.length >= storedTextsMax || length > storedLengthMax) return false;
    this.#texts.set(id, sql);
    return true;
  }

  forget(id: number): void {
    this.#texts.delete(id);
  }

  text(id: number): string | undefined {
    return this.#texts.get(id);
  }
}

export class HranaStreams {
  readonly #clock: Clock;
  /** By baton, the oldest first. */
  readonly #waiting = new Map<string, { readonly stream: HranaStream; readonly until: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Returns a new stream without a baton; undefined if no stream has this baton (any more). */
  take(baton: string | null): HranaStream | undefined {
    if (baton === null) return new HranaStream();
    const found = this.#waiting.get(baton);
    this.#waiting.delete(baton);
    return found !== undefined && found.until > this.#clock.now() ? found.stream : undefined;
  }

  /** Returns the baton for the stream's next request; null if it is closed. */
  keep(stream: HranaStream): string | null {
    if (stream.isClosed) return null;
    const now = this.#clock.now();
    for (const [baton, { until }] of this.#waiting) {
      if (until > now && this.#waiting.size < streamsMax) break;
      this.#waiting.delete(baton);
    }
    const baton = randomBytes(16).toString("base64url");
    this.#waiting.set(baton, { stream, until: now + streamIdleMs });
    return baton;
  }
}
