/**
 * Sends requests as clients of several gateways do: each client has a gateway of its own, and uses the next one when
 * that is gone.
 *
 * A request whose connection was refused was not sent, and goes to the next gateway. A request that was cut off may
 * have been executed: a read is resent, a write is not (`CutOffError`), because its outcome cannot be known. With a
 * single gateway nothing is hidden: every failure of the connection is the caller's error.
 */
import { type CallAnswer, HttpCaller } from "./http-call.ts";

/** The gateway went away while a write was in flight: whether the write was executed is unknown. */
export class CutOffError extends Error {
  override readonly name = "CutOffError";
}

const notSentCodes = new Set(["ECONNREFUSED", "ConnectionRefused"]);
const cutOffCodes = new Set(["ECONNRESET", "EPIPE", "ConnectionClosed", "ERR_STREAM_PREMATURE_CLOSE"]);

export class GatewayCaller {
  readonly #urls: readonly [string, ...string[]];
  readonly #caller: HttpCaller;
  readonly #timeoutMs: number;

  /** `sockets`: at most so many connections to each gateway. */
  constructor(urls: readonly [string, ...string[]], sockets: number, timeoutMs: number) {
    this.#urls = urls;
    this.#caller = new HttpCaller(sockets);
    this.#timeoutMs = timeoutMs;
  }

  /** `client`: a number; it says which gateway is asked first. */
  async call(client: number, method: string, path: string, body: string | undefined): Promise<CallAnswer> {
    const urls = this.#urls;
    for (let turn = 0; ; turn += 1) {
      const url = urls[(client + turn) % urls.length] ?? urls[0];
      try {
        return await this.#caller.call({
          method,
          url: url + path,
          timeoutMs: this.#timeoutMs,
          ...(body === undefined ? {} : { body }),
        });
      } catch (error) {
        const fate = urls.length === 1 ? "failed" : fateOf(error);
        if (fate === "cut-off" && method !== "GET") throw new CutOffError(`${method} ${path}: ${String(error)}`);
        if (fate === "failed" || turn >= urls.length) throw error;
      }
    }
  }

  close(): void {
    this.#caller.close();
  }
}

function fateOf(error: unknown): "not-sent" | "cut-off" | "failed" {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code === "string" && notSentCodes.has(code)) return "not-sent";
  const isCut =
    (typeof code === "string" && cutOffCodes.has(code)) ||
    /socket hang up|connection ended in the middle|socket connection was closed/i.test(String(message));
  return isCut ? "cut-off" : "failed";
}
