/**
 * The newest lines of this host's log and of its application's output, for who follows them from elsewhere. Bounded in
 * lines and bytes, so that an application that writes much costs memory once; what leaves is counted by its numbers.
 */
import { randomUUID } from "node:crypto";
import type { HostLog, HostLogQuestion, LogLine, LogSource } from "../control/log-api.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import { PrefixedOutput } from "./application/prefixed-output.ts";
import type { OutputSink } from "./application/watcher.ts";

const linesKeptMax = 5_000;
const charactersKeptMax = 1024 * 1024;
const lineCharactersMax = 4_096;

type NewLine = Omit<LogLine, "number">;

/** The lines of one source. */
export class LogRing {
  #lines: LogLine[] = [];
  #characters = 0;
  #last = 0;
  #added = Promise.withResolvers<void>();

  /** The number of the newest line. */
  get last(): number {
    return this.#last;
  }

  /** Resolves with the next line. */
  get added(): Promise<void> {
    return this.#added.promise;
  }

  add(line: NewLine): void {
    const message = line.message.slice(0, lineCharactersMax);
    this.#last += 1;
    this.#lines.push({ ...line, message, number: this.#last });
    this.#characters += sizeOf(message);
    // In one go for many: removing the first line of a long array costs its length.
    if (this.#lines.length > linesKeptMax * 1.2 || this.#characters > charactersKeptMax * 1.2) this.#shorten();
    const added = this.#added;
    this.#added = Promise.withResolvers<void>();
    added.resolve();
  }

  /** `after` undefined: the newest ones. */
  read(after: number | undefined, linesMax: number): Omit<HostLog, "run"> {
    const first = this.#lines[0]?.number ?? this.#last + 1;
    const from = after === undefined ? Math.max(first, this.#last - linesMax + 1) : Math.max(first, after + 1);
    const lines = this.#lines.slice(from - first, from - first + linesMax);
    return {
      lines,
      next: lines.at(-1)?.number ?? this.#last,
      lost: after === undefined ? 0 : Math.max(0, from - after - 1),
    };
  }

  #shorten(): void {
    let drop = Math.max(0, this.#lines.length - linesKeptMax);
    let characters = this.#characters;
    this.#lines.forEach(({ message }, index) => {
      if (index >= drop && characters <= charactersKeptMax) return;
      characters -= sizeOf(message);
      drop = Math.max(drop, index + 1);
    });
    this.#characters = characters;
    this.#lines = this.#lines.slice(drop);
  }
}

/** A line costs more than its text. */
const sizeOf = (message: string): number => message.length + 64;

/** Of one run of a host. */
export class HostLogs {
  readonly #run = randomUUID();
  readonly #rings: Readonly<Record<LogSource, LogRing>> = { stead: new LogRing(), application: new LogRing() };

  /** The log that also keeps its lines here. */
  keeping(log: Logger): Logger {
    const kept =
      (level: LogLine["level"]): Logger["info"] =>
      (what, fields = {}) => {
        this.#rings.stead.add({ timeMs: Date.now(), level, message: what, fields: { ...fields } });
        log[level](what, fields);
      };
    return { info: kept("info"), warn: kept("warn"), error: kept("error") };
  }

  /** The application's output that also keeps its lines here. */
  keepingOutput(sink: OutputSink): OutputSink {
    const write = (text: string): void =>
      this.#rings.application.add({ timeMs: Date.now(), level: "info", message: text.replace(/\n$/, ""), fields: {} });
    const lines = new PrefixedOutput({ write, writableLength: 0 }, "");
    return {
      take: (bytes) => {
        sink.take(bytes);
        lines.take(bytes);
      },
      close: () => {
        sink.close();
        lines.close();
      },
    };
  }

  async read(
    { of, run, after, waitMs, linesMax }: HostLogQuestion,
    clock: Clock,
    signal?: AbortSignal,
  ): Promise<HostLog> {
    const ring = this.#rings[of];
    const from = run === this.#run ? after : undefined;
    if (from !== undefined && from >= ring.last && waitMs > 0) await within(clock, waitMs, ring.added, signal);
    return { run: this.#run, ...ring.read(from, linesMax) };
  }
}

/** Resolves with `added`, after the time, or with the signal, and leaves no timer behind. */
function within(clock: Clock, afterMs: number, added: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", settle);
      resolve();
    };
    const timer = clock.setTimer(afterMs, settle);
    signal?.addEventListener("abort", settle, { once: true });
    added.then(settle, settle);
  });
}
