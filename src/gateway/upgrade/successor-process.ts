/** The process that takes over, for the keeper that started it. */
import { spawn, type ChildProcess } from "node:child_process";
import type { Clock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { Incumbent } from "../gateway-process.ts";
import { readMessages, sendMessage } from "../workers/line-channel.ts";
import { fromSuccessorSchema, type FromSuccessor, type ToSuccessor } from "./messages.ts";

/** Limit for starting the binary and reading the configuration. */
const readyMsMax = 20_000;
/** Limit for opening or closing the database and the listeners. */
const stepMsMax = 30_000;

/** An upgrade failed; the old gateway continues. */
export class UpgradeError extends OperatorError {
  constructor(found: string, advice = "read what the new process wrote, and upgrade again") {
    super("unexpected", { found, advice });
  }
}

interface Waiting {
  readonly kind: FromSuccessor["kind"];
  resolve(message: FromSuccessor): void;
  reject(error: UpgradeError): void;
}

export class SuccessorProcess implements Incumbent {
  /** How it ended. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  #waiting: Waiting | undefined;
  #end: string | undefined;

  /** `descriptors`: the listening sockets that it inherits. */
  constructor(command: readonly [string, ...string[]], descriptors: readonly number[], clock: Clock) {
    const [program, ...args] = command;
    this.#clock = clock;
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit", ...descriptors] });
    this.ended = new Promise((resolve) => {
      const onEnded = (how: string): void => {
        this.#end ??= how;
        this.#waiting?.reject(new UpgradeError(`the new process ended: ${how}`));
        resolve(how);
      };
      this.#child.once("error", (error) => onEnded(`it could not be started: ${error.message}`));
      this.#child.once("exit", (code, signal) => onEnded(signal === null ? `exit code ${code ?? "?"}` : signal));
    });
    this.#child.stdin?.on("error", () => undefined); // its end says more
    if (this.#child.stdout !== null)
      readMessages(this.#child.stdout, fromSuccessorSchema, {
        onMessage: (message) => this.#heard(message),
        onEnd: () => undefined,
      });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when the new process could serve. Throws `UpgradeError`. */
  async ready(): Promise<Extract<FromSuccessor, { kind: "ready" }>> {
    const message = await this.#expect("ready", readyMsMax);
    if (message.kind !== "ready") throw new UpgradeError("it sent an unexpected message");
    return message;
  }

  async takeOver(): Promise<void> {
    await this.#ask({ kind: "take-over" }, "serving");
  }

  async handOver(): Promise<void> {
    await this.#ask({ kind: "hand-over" }, "handed-over");
  }

  async resume(): Promise<void> {
    await this.#ask({ kind: "resume" }, "serving");
  }

  async drain(): Promise<void> {
    this.#send({ kind: "drain" });
    await this.ended;
  }

  async stop(): Promise<void> {
    this.#send({ kind: "stop" });
    await this.ended;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  reload(): void {
    this.#child.kill("SIGHUP");
  }

  #ask(message: ToSuccessor, answer: FromSuccessor["kind"]): Promise<FromSuccessor> {
    const answered = this.#expect(answer, stepMsMax);
    this.#send(message);
    return answered;
  }

  #expect(kind: FromSuccessor["kind"], withinMs: number): Promise<FromSuccessor> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) return reject(new UpgradeError(`the new process ended: ${this.#end}`));
      const timer = this.#clock.setTimer(withinMs, () =>
        this.#waiting?.reject(new UpgradeError(`the new process did not report "${kind}" within ${withinMs} ms`)),
      );
      const settled = (settle: () => void): void => {
        timer.cancel();
        this.#waiting = undefined;
        settle();
      };
      this.#waiting = {
        kind,
        resolve: (message) => settled(() => resolve(message)),
        reject: (error) => settled(() => reject(error)),
      };
    });
  }

  #heard(message: FromSuccessor): void {
    if (message.kind === this.#waiting?.kind) this.#waiting.resolve(message);
    else if (message.kind === "failed") this.#waiting?.reject(new UpgradeError(message.why));
  }

  #send(message: ToSuccessor): void {
    if (this.#child.stdin !== null) sendMessage(this.#child.stdin, message);
  }
}
