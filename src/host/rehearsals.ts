/**
 * Rehearsals find, under observation, what would fail at the first failover. The application is started on a copy of
 * the replica, must get ready and stay ready for a moment, and is stopped again. No client reaches it, and nothing that
 * it writes is journaled.
 *
 * - The copy is made between two records, with exclusive use of the follower (follower.ts), so it equals what a
 *   failover would start with. This host does not follow meanwhile, for a bounded time.
 * - A promotion does not wait: `abort` sends the kill and ends the copy at its next piece before it returns. The rest
 *   is cleaned up in the background.
 * - A rehearsal that does not take place (no space, the host is not a secondary, it was ended) is a refusal and says
 *   nothing about the application; the last result stays.
 * - An application that opened the replica instead of the copy has written where only the journal may write: this host
 *   restores, so that it cannot become primary with that.
 */
import type { RehearsalResult } from "../control/host-status.ts";
import type { RehearsalDone } from "../control/host-api.ts";
import type { HostState } from "../core/host/life.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import type { LogReader } from "../vault/log/log-reader.ts";
import type { Audience, RehearsalGround, RehearsedApplication } from "./application/rehearsal-ground.ts";
import type { Follower } from "./secondary/follower.ts";
import type { HostReplica } from "./secondary/secondary.ts";
import { messageOf } from "../runtime/operator-error.ts";
import type { Outcome } from "./ports/ports.ts";

/** The secondary whose databases are copied. */
export interface Original {
  readonly follower: Pick<Follower, "alone"> & { readonly reader: Pick<LogReader, "position"> };
  readonly replica: Pick<HostReplica, "checksums" | "files">;
}

export interface RehearsalsOptions {
  /** undefined: this host has no application to start. */
  readonly ground: RehearsalGround | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly freePort: () => Promise<number>;
  readonly onResult: (ok: boolean) => void;
  /** The application used the replica itself, and this host follows with it. */
  readonly onStray: (reason: string) => void;
}

/** Longest time for which this host may not follow. */
const copyMsMax = 30_000;
/** An application that ends right after it was ready would not have served either. */
const stayMs = 1_000;

export class Rehearsals {
  readonly #options: RehearsalsOptions;
  #last: RehearsalResult | null = null;
  #killed: Promise<void> = Promise.resolve();
  #current: { readonly cut: AbortController; readonly over: Promise<unknown> } | undefined;

  constructor(options: RehearsalsOptions) {
    this.#options = options;
  }

  /** null: there was none in this run of the host. */
  get last(): RehearsalResult | null {
    return this.#last;
  }

  /** Cleans up what an earlier run of this host left. */
  start(): void {
    const { ground } = this.#options;
    if (ground !== undefined) this.#hold(new AbortController(), this.#clear(ground));
  }

  /** Resolves when nothing of it is left. */
  async run(role: HostState["kind"], secondary: Original | undefined): Promise<Outcome<RehearsalDone>> {
    const { ground } = this.#options;
    if (role !== "secondary" || secondary === undefined)
      return refused(`only a secondary rehearses; this host is ${role}`);
    if (ground === undefined) return refused("this host cannot rehearse");
    if (this.#current !== undefined)
      return refused("a rehearsal is already running here, or being cleaned up: wait for its result in `stead status`");
    const cut = new AbortController();
    const work = this.#run(ground, secondary, cut.signal);
    this.#hold(cut, work);
    return work;
  }

  /** Ends the running one. Synchronous: the kill is sent. */
  abort(why: string): void {
    this.#current?.cut.abort(new Error(why));
  }

  /** Resolves when the ended one no longer runs and has no port: a few milliseconds after the kill. */
  gone(): Promise<void> {
    return this.#killed;
  }

  /** Resolves when nothing of it is left. */
  async close(why: string): Promise<void> {
    this.abort(why);
    await this.#current?.over;
  }

  /** One at a time. */
  #hold(cut: AbortController, work: Promise<unknown>): void {
    const close = (): void => {
      this.#current = undefined;
    };
    this.#current = { cut, over: work.then(close, close) };
  }

  async #run(ground: RehearsalGround, secondary: Original, signal: AbortSignal): Promise<Outcome<RehearsalDone>> {
    const { log, onStray } = this.#options;
    const databases = [...secondary.replica.checksums().keys()];
    log.info("rehearsal begins", { databases: databases.length });
    try {
      // Remains of the previous rehearsal would be in this one's copy.
      await ground.clear();
      signal.throwIfAborted();
      const copied = await this.#copy(ground, secondary, databases, signal);
      const { strayed, ...found } = await this.#perform(ground, databases, signal);
      signal.throwIfAborted();
      const done = { ...copied, ...found };
      this.#report(done);
      if (strayed !== undefined) onStray(`in a rehearsal ${strayed}`);
      return { kind: "done", done };
    } catch (error) {
      const why = messageOf(error);
      log.warn("no rehearsal", { reason: why });
      return refused(signal.aborted ? `the rehearsal was ended: ${why}` : `the rehearsal did not take place: ${why}`);
    } finally {
      await this.#clear(ground);
    }
  }

  async #copy(
    ground: RehearsalGround,
    { follower, replica }: Original,
    databases: readonly string[],
    signal: AbortSignal,
  ): Promise<{ position: number; copyMs: number }> {
    const { clock } = this.#options;
    return follower.alone(async () => {
      signal.throwIfAborted();
      const since = clock.now();
      const late = new AbortController();
      const timer = clock.setTimer(copyMsMax, () =>
        late.abort(
          new Error(
            `the copy was not made within ${copyMsMax} ms, and this host does not follow meanwhile: a file system that shares blocks (XFS, btrfs) needs no time for it`,
          ),
        ),
      );
      try {
        await ground.copy(databases, AbortSignal.any([signal, late.signal]), replica.files);
      } finally {
        timer.cancel();
      }
      return { position: follower.reader.position, copyMs: clock.now() - since };
    });
  }

  async #perform(ground: RehearsalGround, databases: readonly string[], signal: AbortSignal): Promise<Found> {
    const { clock } = this.#options;
    const warnings: string[] = [];
    const ended = Promise.withResolvers<string>();
    const audience: Audience = { onGaveUp: ended.resolve, onWarning: (text) => warnings.push(text) };
    const application = ground.application(audience);
    const kill = (): void => {
      this.#killed = application.kill().catch((error: unknown) => void warnings.push(messageOf(error)));
    };
    signal.addEventListener("abort", kill, { once: true });
    try {
      const { startMs, failure } = await this.#start(application, ended.promise, signal);
      const opened = new Set(ground.strays(databases));
      const stopping = clock.now();
      await application.stop();
      const stopMs = startMs === null ? null : clock.now() - stopping;
      await application.kill();
      for (const path of ground.strays(databases)) opened.add(path);
      const strayed = opened.size === 0 ? undefined : strayedTo([...opened]);
      const ok = failure === undefined && strayed === undefined;
      const said = ok ? "" : lastWords(await application.lastOutput());
      const detail = [failure, strayed, ...warnings].filter((text) => text !== undefined).join("; ") + said;
      return { ok, atMs: clock.wallTime(), startMs, stopMs, detail: detail === "" ? null : detail, strayed };
    } finally {
      signal.removeEventListener("abort", kill);
      await application.kill();
    }
  }

  /** Starts it and waits until it is ready and has stayed ready for a moment. */
  async #start(
    application: RehearsedApplication,
    ended: Promise<string>,
    signal: AbortSignal,
  ): Promise<{ startMs: number | null; failure: string | undefined }> {
    const { clock, freePort } = this.#options;
    const port = await freePort();
    signal.throwIfAborted();
    const since = clock.now();
    try {
      await application.start(port);
    } catch (error) {
      signal.throwIfAborted();
      return { startMs: null, failure: messageOf(error) };
    }
    const startMs = clock.now() - since;
    const stays = new AbortController();
    const failure = await Promise.race([
      ended,
      clock.sleep(stayMs, AbortSignal.any([signal, stays.signal])).then(() => undefined),
    ]);
    stays.abort();
    return { startMs, failure };
  }

  #report(done: RehearsalDone): void {
    const { ok, atMs, startMs, detail } = done;
    this.#last = { ok, atMs, startMs, detail };
    const { log, onResult } = this.#options;
    if (ok) log.info("rehearsal succeeded", { start_ms: Math.round(startMs ?? 0), copy_ms: Math.round(done.copyMs) });
    else log.warn("rehearsal failed", { reason: detail });
    onResult(ok);
  }

  /** Never rejects: the next rehearsal, and the next run of this host, find what cannot be removed now. */
  async #clear(ground: RehearsalGround): Promise<void> {
    try {
      await ground.clear();
    } catch (error) {
      this.#options.log.warn("a rehearsal could not be cleaned up", { reason: messageOf(error) });
    }
  }
}

type Found = Pick<RehearsalDone, "ok" | "atMs" | "startMs" | "stopMs" | "detail"> & {
  readonly strayed: string | undefined;
};

const strayedTo = (paths: readonly string[]): string =>
  `the application opened ${paths.slice(0, namedMax).join(", ")} instead of the copy that STEAD_DATA and DATA_DIR name: let it find its databases by one of them`;

/** Largest number named. */
const namedMax = 5;

const lastWords = (output: string): string => (output === "" ? "; it wrote nothing" : `; it wrote last:\n${output}`);

const refused = (reason: string): Outcome<never> => ({ kind: "refused", refusal: { kind: "not_ready", reason } });
