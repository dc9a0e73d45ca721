/**
 * Operators' queries, answered by a reader process (sql-reader.ts): one at a time, each with a time limit after which
 * the process is killed; the next query starts another. A gateway without queries has no such process.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { cleanEnvironment } from "../../runtime/clean-environment.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { ReaderAnswer, ReaderRequest } from "./sql-reader.ts";

export interface SqlQueriesOptions {
  /** Program and arguments of the reader; the database's path is added. */
  readonly command: readonly [string, ...string[]];
  readonly path: string;
  readonly clock: Clock;
}

/**
 * The runtime's allocator (mimalloc) reserves a gigabyte at once, and the memory limit of the reader would begin to
 * count only behind that (runtime/memory-limit.ts); its collector waits for a share of the machine's memory.
 */
const allocateInSmallParts = { MIMALLOC_ARENA_RESERVE: "0", BUN_JSC_forceRAMSize: String(256 * 1024 * 1024) };

/** Queries that may wait. */
const waitingMax = 32;

type Reader = ChildProcessByStdio<Writable, Readable, null>;

export class SqlQueries {
  readonly #options: SqlQueriesOptions;
  #reader: Reader | undefined;
  #answer: ((answer: ReaderAnswer) => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: SqlQueriesOptions) {
    this.#options = options;
  }

  async query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer> {
    if (this.#waiting >= waitingMax)
      return { kind: "error", message: "too many queries are waiting; try again later", code: "SQL_BUSY" };
    this.#waiting++;
    const mine = this.#last.then(() => this.#run(request, timeoutMs));
    this.#last = mine;
    try {
      return await mine;
    } finally {
      this.#waiting--;
    }
  }

  close(): void {
    this.#kill("the gateway is stopping");
  }

  #run(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(timeoutMs, () =>
        this.#kill(`the query took longer than ${timeoutMs} ms and was ended`, "SQL_TIMEOUT"),
      );
      this.#answer = (answer) => {
        this.#answer = undefined;
        timer.cancel();
        resolve(answer);
      };
      const reader = (this.#reader ??= this.#start());
      reader.stdin.write(`${JSON.stringify(request)}\n`);
    });
  }

  #start(): Reader {
    const { command, path } = this.#options;
    const env = { ...cleanEnvironment(process.env), ...allocateInSmallParts };
    const reader = spawn(command[0], [...command.slice(1), path], { env, stdio: ["pipe", "pipe", "inherit"] });
    const isCurrent = (): boolean => this.#reader === reader;
    createInterface({ input: reader.stdout }).on("line", (line) => {
      if (isCurrent()) this.#answer?.(JSON.parse(line) as ReaderAnswer);
    });
    reader.stdin.on("error", () => undefined); // the exit below says more
    reader.once(
      "error",
      (error) => isCurrent() && this.#kill(`the reader process cannot be started: ${error.message}`),
    );
    reader.once(
      "exit",
      (code, signal) => isCurrent() && this.#kill(`the reader process ended (${signal ?? code ?? "?"})`),
    );
    return reader;
  }

  #kill(message: string, code = "SQL_READER_LOST"): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.kill("SIGKILL");
    this.#answer?.({ kind: "error", message, code });
  }
}
