/**
 * A stream to systemd-journald for lines of the application, under an identifier of its own (sd_journal_stream_fd(3),
 * as systemd-cat(1) uses it): `journalctl -t notes`.
 *
 * Not the native protocol, which needs datagrams on a Unix socket that no runtime here has; and not a prefix `<n>` on
 * the host's standard error, which only works if that leads to the journal, and where every line has the host's
 * identifier. The journal is told not to read priorities out of lines: an application could otherwise reach every
 * terminal with one of priority `<0>`.
 *
 * The journal keeps its streams across a restart of its own. A stream that breaks is opened again with a later line;
 * what is written meanwhile is left out.
 */
import { connect, type Socket } from "node:net";
import type { Clock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { LogStream } from "./prefixed-output.ts";

export const journalSocket = "/run/systemd/journal/stdout";
/** Of syslog(3): informational. */
const priority = 6;
const reconnectAfterMs = 1_000;

export interface JournalStreamOptions {
  readonly identifier: string;
  readonly clock: Clock;
  readonly onWarning: (text: string) => void;
  /** For tests. */
  readonly path?: string;
}

export class JournalStream implements LogStream {
  readonly #options: JournalStreamOptions;
  #socket: Socket | undefined;
  #mayConnectAt = -Infinity;
  #isFailing = false;

  constructor(options: JournalStreamOptions) {
    this.#options = options;
  }

  /** Infinite while there is no journal: its lines are left out, and counted. */
  get writableLength(): number {
    return this.#open()?.writableLength ?? Infinity;
  }

  write(text: string): void {
    this.#open()?.write(text);
  }

  #open(): Socket | undefined {
    if (this.#socket !== undefined) return this.#socket;
    const { clock, identifier, path = journalSocket } = this.#options;
    if (clock.now() < this.#mayConnectAt) return undefined;
    this.#mayConnectAt = clock.now() + reconnectAfterMs;
    const socket = connect(path);
    this.#socket = socket;
    // Identifier, unit (the journal finds it), priority, priorities in lines, and forwarding to syslog, kmsg, console.
    socket.write(`${identifier}\n\n${priority}\n0\n0\n0\n0\n`);
    socket.once("connect", () => (this.#isFailing = false));
    socket.on("error", (error) => this.#fail(error));
    socket.once("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    socket.unref();
    return socket;
  }

  #fail(error: unknown): void {
    if (!this.#isFailing)
      this.#options.onWarning(
        `host.application.log: output of the application is left out, since the journal does not take it: ${messageOf(error)}`,
      );
    this.#isFailing = true;
  }
}
