/**
 * The load: a bounded number of workers, each with one request at a time, through the gateway. The result of each
 * request goes to the history; a request that was not answered as the application would answer it counts as failed,
 * with its reason.
 *
 * A worker waits a drawn time between two requests, so that the load is steady and the machine is not saturated: the
 * load measures the failover, not the queue for two processor cores.
 */
import type { Clock } from "../src/runtime/clock.ts";
import { messageOf } from "../src/runtime/operator-error.ts";
import { SeededRandom } from "./seeded-random.ts";
import { SuccessMeter } from "./gap.ts";
import type { History, Moment } from "./history.ts";
import { CutOffError, GatewayCaller } from "./gateway-caller.ts";
import { asJson, type CallAnswer } from "./http-call.ts";
import type { DemoAnswer, DemoModel, Operation } from "./model.ts";

export interface LoadOptions {
  /**
   * Origin of the gateway, `http://address:port`. Several: the workers spread over them, and one whose gateway is gone
   * uses the next one, as clients of several addresses do (gateway-caller.ts).
   */
  readonly urls: readonly [string, ...string[]];
  readonly model: DemoModel;
  readonly history: History;
  readonly clock: Clock;
  readonly seed: number;
  readonly workers: number;
  /** Of all workers together; the load is lower when answers take longer. */
  readonly requestsPerSecond: number;
  readonly timeoutMs: number;
}

export interface LoadCounts {
  readonly ok: number;
  readonly unknown: number;
  readonly failed: number;
  /** Why writes are unknown, as the gateway says, and how many of each; without those that a gateway's end cut off. */
  readonly unknownReasons: Readonly<Record<string, number>>;
}

const failuresKeptMax = 20;

export class Load {
  readonly meter = new SuccessMeter();
  readonly #options: LoadOptions;
  readonly #caller: GatewayCaller;
  readonly #stop = new AbortController();
  readonly #workers: Promise<void>[] = [];
  readonly #failures: string[] = [];
  #unknown = 0;
  readonly #unknownReasons = new Map<string, number>();
  #failed = 0;
  #inFlight = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#caller = new GatewayCaller(options.urls, options.workers + 1, options.timeoutMs);
  }

  get counts(): LoadCounts {
    const unknownReasons = Object.fromEntries(this.#unknownReasons);
    return { ok: this.meter.count, unknown: this.#unknown, failed: this.#failed, unknownReasons };
  }

  /** Requests that wait for an answer right now. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The first reasons why requests failed. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  async start(): Promise<void> {
    await this.#options.model.prepare((path) => this.get(path), this.#options.history);
    for (let worker = 0; worker < this.#options.workers; worker += 1) this.#workers.push(this.#work(worker));
  }

  /** No new requests; resolves when those in flight have ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#workers);
  }

  /** Ends everything at once; requests in flight count as failed. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#caller.close();
    await Promise.all(this.#workers);
  }

  /** A read outside the load; throws when it is not answered with 2xx. */
  async get(path: string): Promise<DemoAnswer> {
    const answer = await this.#caller.call(0, "GET", path, undefined);
    if (answer.status < 200 || answer.status > 299) throw new Error(`GET ${path}: ${describe(answer)}`);
    return { status: answer.status, body: asJson(answer.text) };
  }

  async #work(worker: number): Promise<void> {
    const { model, seed, workers, requestsPerSecond, clock } = this.#options;
    const dice = new SeededRandom(seed * 1009 + worker);
    const meanPauseMs = (1000 * workers) / requestsPerSecond;
    while (!this.#stop.signal.aborted) {
      await clock.sleep(2 * meanPauseMs * dice.fraction(), this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      await this.#one(worker, model.next(dice, worker));
    }
  }

  async #one(worker: number, operation: Operation): Promise<void> {
    const { history } = this.#options;
    const { method, path, body } = operation.request;
    if (operation.write !== undefined) history.sent(operation.write);
    const moment = history.begin(operation.key);
    this.#inFlight += 1;
    try {
      this.#settle(operation, moment, await this.#caller.call(worker, method, path, body));
    } catch (error) {
      if (error instanceof CutOffError) this.#isUnknown(operation);
      else this.#fail(operation, messageOf(error));
    } finally {
      this.#inFlight -= 1;
    }
  }

  #settle(operation: Operation, moment: Moment, answer: CallAnswer): void {
    if (answer.status === 502 && answer.headers["stead-outcome"] === "unknown" && operation.request.method === "POST") {
      const reason = reasonOf(answer.text);
      this.#unknownReasons.set(reason, (this.#unknownReasons.get(reason) ?? 0) + 1);
      this.#isUnknown(operation);
      return;
    }
    // An answer of stead itself is not the application's.
    const refusal =
      answer.status >= 500 || answer.headers["stead-outcome"] !== undefined
        ? describe(answer)
        : operation.settle({ status: answer.status, body: asJson(answer.text) }, moment, this.#options.history);
    if (refusal === undefined) this.meter.success(this.#options.clock.now());
    else this.#fail(operation, refusal);
  }

  #isUnknown(operation: Operation): void {
    this.#unknown += 1;
    if (operation.write !== undefined) this.#options.history.unknown(operation.write);
    operation.abandon();
  }

  #fail(operation: Operation, reason: string): void {
    this.#failed += 1;
    if (operation.write !== undefined) this.#options.history.unknown(operation.write);
    operation.abandon();
    const { method, path } = operation.request;
    if (this.#failures.length < failuresKeptMax) this.#failures.push(`${method} ${path}: ${reason}`);
  }
}

/** The gateway's words between its code and what every such answer says (src/http/proxy/proxy.ts). */
const reasonOf = (text: string): string =>
  /^502 \w+: (.*?)(?:; the request may or may not|$)/s.exec(text)?.[1] ?? text.trim();

function describe(answer: CallAnswer): string {
  const outcome = answer.headers["stead-outcome"];
  return `${answer.status}${outcome === undefined ? "" : ` (${String(outcome)})`}: ${answer.text.trim().slice(0, 200)}`;
}
