/**
 * The process that takes over: reports that it could, serves when told to, and may hand over in turn. It stops when its
 * keeper is gone: the next start of the gateway must find its ports free.
 */
import type { Readable, Writable } from "node:stream";
import type { Logger } from "../../runtime/log.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { GatewayProcess } from "../gateway-process.ts";
import { readMessages, sendMessage } from "../workers/line-channel.ts";
import { toSuccessorSchema, type FromSuccessor, type ToSuccessor } from "./messages.ts";

export interface SuccessorOptions {
  readonly input: Readable;
  readonly output: Writable;
  readonly ready: Omit<Extract<FromSuccessor, { kind: "ready" }>, "kind">;
  readonly log: Logger;
  start(): Promise<GatewayProcess>;
  /** The gateway serves: signals of the process may be passed to it. */
  onRun(run: GatewayProcess): void;
  /** The process is told to stop. */
  readonly signal: AbortSignal;
}

/** Resolves when it has ended. */
export function runSuccessor(options: SuccessorOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const successor = new Successor(options);
    let work: Promise<boolean> = Promise.resolve(false);
    /** Runs one step after the other; the last one ends the process. */
    const next = (step: () => Promise<boolean>): void => {
      work = work.then((done) => done || step());
      work.then((done) => done && resolve(), reject);
    };
    const stop = (): void => next(() => successor.take({ kind: "stop" }));
    options.signal.addEventListener("abort", stop, { once: true });
    readMessages(options.input, toSuccessorSchema, {
      onMessage: (message) => next(() => successor.take(message)),
      onEnd: stop,
    });
    sendMessage(options.output, { kind: "ready", ...options.ready } satisfies FromSuccessor);
  });
}

class Successor {
  readonly #options: SuccessorOptions;
  #run: GatewayProcess | undefined;

  constructor(options: SuccessorOptions) {
    this.#options = options;
  }

  /** Returns true if that was the last step. */
  async take(message: ToSuccessor): Promise<boolean> {
    try {
      return await this.#take(message);
    } catch (error) {
      const why = messageOf(error);
      this.#options.log.error(`${message.kind} failed`, { why });
      this.#send({ kind: "failed", why });
      return this.#run === undefined;
    }
  }

  async #take({ kind }: ToSuccessor): Promise<boolean> {
    switch (kind) {
      case "take-over":
        this.#run = await this.#options.start();
        this.#options.onRun(this.#run);
        this.#send({ kind: "serving" });
        return false;
      case "hand-over":
        await this.#run?.handOver();
        this.#send({ kind: "handed-over" });
        return false;
      case "resume":
        await this.#run?.resume();
        this.#send({ kind: "serving" });
        return false;
      case "drain":
        await this.#run?.drain();
        return true;
      case "stop":
        await this.#run?.stop();
        return true;
    }
  }

  #send(message: FromSuccessor): void {
    sendMessage(this.#options.output, message);
  }
}
