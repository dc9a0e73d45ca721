/**
 * The watcher: the application runs in a separate process group, which dies with the host.
 *
 * A POSIX shell leads the group (`detached` gives it its own session). It starts a reader on a pipe whose other end
 * only the host holds, a second reader on a pipe whose other end only the first one holds, and the application. When
 * the host dies, for any reason, the kernel closes its pipe; the first reader sees that and kills the whole group with
 * SIGKILL. If the first reader is killed, the second one does the same: an unwatched group would outlive its host (seen
 * under chaos), so it is ended. No polling, nothing to install, about a millisecond to start.
 *
 * - `trap :` (not `trap ''`) in the leader: a handler is reset in the children, an ignored signal would be inherited.
 *   So SIGTERM to the group reaches the application, and the leader only wakes up from `wait` and waits again.
 * - The readers ignore the stop signals from their first moment, by inheritance: they must outlive a slow stop of the
 *   application, and one that comes while the group is just starting. Otherwise an application could outlive its host
 *   (seen under chaos).
 * - The application gets no stdin and neither pipe.
 * - The second reader may be lost without harm: the first one watches the host by itself. If both readers are killed
 *   separately, the application outlives its host.
 * - Processes that left the group (their own session, a daemon) are still in the cgroup, if the host may create one
 *   (application/cgroup.ts): the leader moves there before it starts anything, and the readers kill all of it when the
 *   host has died. If the leader ended, the host is alive, and names and kills leftovers; without a cgroup it finds
 *   them as far as possible (application/leftovers.ts).
 * - The group id cannot be reused while a reader lives, and the first one lives until the host closes the pipe.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { inheritedUmask } from "../../runtime/umask.ts";

const script = `
trap '' TERM INT QUIT HUP
cgroup=$1
umask "$2"
shift 2
exec 3<&0 </dev/null
[ -z "$cgroup" ] || echo $$ >"$cgroup/cgroup.procs"
end() {
  [ -z "$cgroup" ] || ! kill -0 $$ 2>/dev/null || echo 1 >"$cgroup/cgroup.kill"
  kill -KILL -$$
}
( read -r _ <&3; end ) | ( exec 3<&-; read -r _; end ) &
trap : TERM INT QUIT HUP
"$@" 3<&- &
application=$!
exec 3<&-
while :; do
  wait "$application"
  code=$?
  kill -0 "$application" 2>/dev/null || exit "$code"
done
`;

/** Receives the output of a group, in order. */
export interface OutputSink {
  take(bytes: Uint8Array): void;
  /** Nothing follows: every process that had it has ended. */
  close(): void;
}

export interface WatchedOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Receives the group's output; undefined: it goes to the host's own output. */
  readonly output?: OutputSink | undefined;
  /** Folder of an empty cgroup for this start alone. */
  readonly cgroup: string | undefined;
}

/** How the group's leader ended. `code`: the application's, or 128 + signal number if it died of a signal. */
export interface WatchedEnd {
  readonly code: number;
}

/** A running application with its group. */
export class Watched {
  readonly #child: ChildProcess;
  readonly #ended: Promise<WatchedEnd>;
  #isOver = false;

  constructor(options: WatchedOptions) {
    const { output } = options;
    const stream = output === undefined ? "inherit" : "pipe";
    this.#child = spawn(
      "/bin/sh",
      ["-c", script, "stead-watcher", options.cgroup ?? "", inheritedUmask(), ...options.command],
      {
        cwd: options.cwd,
        env: options.env,
        detached: true,
        stdio: ["pipe", stream, stream],
      },
    );
    this.#child.stdin?.on("error", () => undefined);
    if (output !== undefined) drainInto(output, [this.#child.stdout ?? undefined, this.#child.stderr ?? undefined]);
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", (code, signal) => {
        this.#isOver = true;
        // Whatever the application left in its group ends now: the reader sees the end of the pipe.
        this.#child.stdin?.end();
        resolve({ code: code ?? (signal === "SIGKILL" ? 137 : 128) });
      });
    });
    this.#ended.catch(() => undefined);
  }

  /** Process group id of the application. */
  get group(): number {
    return this.#child.pid ?? -1;
  }

  /** Resolves when the application has ended; rejects if it could not be started at all. */
  get ended(): Promise<WatchedEnd> {
    return this.#ended;
  }

  /** Sends a signal to the whole group; does nothing if it is gone. */
  signal(signal: NodeJS.Signals): void {
    if (this.#isOver || this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

function drainInto(output: OutputSink, streams: readonly (Readable | undefined)[]): void {
  let open = streams.length;
  for (const stream of streams) {
    stream?.on("data", (bytes: Uint8Array) => output.take(bytes));
    stream?.on("error", () => undefined);
    stream?.once("close", () => {
      open -= 1;
      if (open === 0) output.close();
    });
  }
}
