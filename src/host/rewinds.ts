/**
 * Rewinds of this host: what one would undo, and the state that is prepared for one (primary/prepared-rewind.ts).
 *
 * A state is prepared while the host serves, one at a time, in a folder beside its own files. It waits for the order to
 * step down that names it, for a bounded time, and is removed when it is used, is too old, is replaced by another one,
 * or the host ends. What an earlier run of the host has left is removed at the start.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { RewindMoment, RewindPlan, RewindPrepared } from "../control/rewind-api.ts";
import type { HostState } from "../core/host/life.ts";
import { BackgroundTasks } from "../runtime/background-tasks.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import { messageOf } from "../runtime/operator-error.ts";
import type { Log } from "../vault/log/log.ts";
import type { Store } from "../vault/store/store.ts";
import type { Outcome } from "./ports/ports.ts";
import { PreparedRewind, type PrepareOptions } from "./primary/prepared-rewind.ts";
import { assertPast, planRewind } from "./primary/rewind-plan.ts";
import type { DiskSpace } from "./secondary/disk-space.ts";

export interface RewindsOptions {
  /** Where a state is prepared: on the disk of the state folder. Undefined: this host has no files. */
  readonly ports: { readonly stateFolder: string; readonly disk?: DiskSpace } | undefined;
  readonly store: Store;
  readonly vaultLog: Log;
  readonly clock: Clock;
  readonly log: Logger;
  readonly newId: () => string;
  readonly role: () => HostState["kind"];
  /** Of the retention in force: for how long what is undone can be gone back to. */
  readonly keptForMs: () => number;
  /** Of the configuration in force. */
  readonly obstacleTo: PrepareOptions["obstacleTo"];
  readonly onWarning: (text: string) => void;
}

/** For how long a prepared state waits for its order. */
const validMs = 10 * 60_000;

interface Waiting {
  readonly id: string;
  readonly prepared: PreparedRewind;
  readonly timer: Timer;
}

export class Rewinds {
  readonly #options: RewindsOptions;
  readonly #background = new BackgroundTasks();
  #cleared: Promise<void> = Promise.resolve();
  #preparing: AbortController | undefined;
  #waiting: Waiting | undefined;
  #used: PreparedRewind | undefined;

  constructor(options: RewindsOptions) {
    this.#options = options;
  }

  start(): void {
    const { ports } = this.#options;
    if (ports === undefined) return;
    this.#cleared = rm(folderIn(ports.stateFolder), { recursive: true, force: true });
    this.#background.own(this.#cleared);
  }

  async plan(moment: RewindMoment): Promise<Outcome<RewindPlan>> {
    const { store, vaultLog: log, clock, keptForMs } = this.#options;
    try {
      return { kind: "done", done: await planRewind({ store, log, clock, moment, keptForMs: keptForMs() }) };
    } catch (error) {
      return refused(messageOf(error));
    }
  }

  /** Restores the state of a moment; the order to step down may name it then. */
  async prepare(moment: RewindMoment): Promise<Outcome<RewindPrepared>> {
    const { ports, role, newId, clock } = this.#options;
    if (ports === undefined) return refused("this host has no folder to prepare a rewind in");
    if (role() !== "primary") return refused(`only a primary prepares a rewind; this host is ${role()}`);
    if (this.#preparing !== undefined) return refused("a rewind is being prepared already; wait for its end");
    const cut = new AbortController();
    this.#preparing = cut;
    try {
      await this.#cleared;
      await this.#forget();
      const prepared = await this.#restore(ports, moment, cut.signal);
      const id = newId();
      const timer = clock.setTimer(validMs, () => this.#background.own(this.#forget()));
      this.#waiting = { id, prepared, timer };
      return { kind: "done", done: { id, validMs, plan: prepared.plan } };
    } catch (error) {
      return refused(cut.signal.aborted ? messageOf(cut.signal.reason) : messageOf(error));
    } finally {
      this.#preparing = undefined;
    }
  }

  /** The prepared state of this id, for the term that steps down now; undefined: there is none. */
  take(id: string): PreparedRewind | undefined {
    const waiting = this.#waiting;
    if (waiting?.id !== id) return undefined;
    waiting.timer.cancel();
    this.#waiting = undefined;
    this.#used = waiting.prepared;
    return waiting.prepared;
  }

  /** The term for which one was taken has ended. */
  async over(): Promise<void> {
    const used = this.#used;
    this.#used = undefined;
    await used?.close();
  }

  /** Ends what is being prepared, and removes what waits. */
  async close(why: string): Promise<void> {
    this.#preparing?.abort(new Error(why));
    await this.#background.settled();
    await this.#forget();
    await this.over();
  }

  #restore({ stateFolder, disk }: NonNullable<RewindsOptions["ports"]>, moment: RewindMoment, signal: AbortSignal) {
    const { store, vaultLog: log, clock, keptForMs, obstacleTo, onWarning, log: logger } = this.#options;
    assertPast(moment, clock);
    logger.info("a rewind is being prepared", { ...moment });
    const folder = join(folderIn(stateFolder), "state");
    return PreparedRewind.prepare({
      ...{ store, log, clock, moment, folder, signal, onWarning, obstacleTo, keptForMs: keptForMs() },
      ...(disk === undefined ? {} : { disk }),
    });
  }

  async #forget(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.timer.cancel();
    await waiting?.prepared.close();
  }
}

const folderIn = (stateFolder: string): string => join(stateFolder, "rewind");

const refused = (reason: string): Outcome<never> => ({ kind: "refused", refusal: { kind: "not_ready", reason } });
