/**
 * Clients of a zombie: while a primary hangs and after it wakes up, they send reads and writes to its data port
 * directly, past every gateway. From the epoch of its successor on it must not answer any of them with success.
 *
 * Every request starts after the host was stopped, and a stopped process sends nothing: every answer with 2xx was sent
 * after the host woke up, and it is woken up only when its successor is primary. A write to it must not show up later
 * either; the history checks that.
 */
import { anyOf } from "../src/control/channel/transcript.ts";
import type { SecureCalls } from "../src/control/channel/secure-calls.ts";
import type { Clock } from "../src/runtime/clock.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { History } from "./history.ts";
import { HttpCaller } from "./http-call.ts";
import type { DemoModel } from "./model.ts";

export interface ZombieProbeOptions {
  readonly dataUrl: string;
  /** As a gateway of the cluster. Undefined: the front is in clear text. */
  readonly tls?: SecureCalls | undefined;
  readonly model: DemoModel;
  readonly history: History;
  readonly dice: SeededRandom;
  readonly clock: Clock;
  readonly readPath: string;
}

/** Generous: requests that arrive while it is stopped wait until it runs again. */
const probeTimeoutMs = 60_000;
const workers = 4;
const pauseMs = 25;

export class ZombieProbe {
  readonly #options: ZombieProbeOptions;
  readonly #caller: HttpCaller;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[];
  readonly #acknowledged: string[] = [];
  #sent = 0;
  #answered = 0;

  /** The host must be stopped already. */
  constructor(options: ZombieProbeOptions) {
    this.#options = options;
    this.#caller = new HttpCaller(2 * workers, options.tls?.callOptions(anyOf("host")));
    this.#running = Array.from({ length: workers }, (_, worker) => this.#work(worker % 2 === 0));
  }

  /** Requests that it answered with success, one line each: must stay empty. */
  get acknowledged(): readonly string[] {
    return this.#acknowledged;
  }

  get sent(): number {
    return this.#sent;
  }

  /** Answered in any way. */
  get answered(): number {
    return this.#answered;
  }

  /** Starts no new probes; resolves when those in flight have ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    this.#caller.close();
  }

  /** Cuts off the probes in flight. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#caller.close();
    await Promise.all(this.#running);
  }

  async #work(writes: boolean): Promise<void> {
    const { model, dice, history, readPath, clock } = this.#options;
    while (!this.#stop.signal.aborted) {
      if (writes) {
        const { request, write } = model.probe(dice);
        history.forbidden(write);
        await this.#one(request.method, request.path, request.body);
      } else await this.#one("GET", readPath, undefined);
      await clock.sleep(pauseMs, this.#stop.signal).catch(() => undefined);
    }
  }

  async #one(method: string, path: string, body: string | undefined): Promise<void> {
    this.#sent += 1;
    try {
      const url = this.#options.dataUrl + path;
      const answer = await this.#caller.call({
        method,
        url,
        timeoutMs: probeTimeoutMs,
        ...(body === undefined ? {} : { body }),
      });
      this.#answered += 1;
      if (answer.status >= 200 && answer.status < 300)
        this.#acknowledged.push(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 120)}`);
    } catch {
      this.#answered += 1; // Cut off: not an acknowledgement.
    }
  }
}
