/**
 * An operator's programs at the changes of a host's role ([host.hooks]): virtual addresses, DNS, cron.
 *
 * Where they run, and why there. Nothing that makes stead correct depends on a hook: gateways route by themselves, and
 * the log fences.
 *
 * - `before_start`, after the claim and before the application is started in a term (not before its restarts in place,
 *   nor in a rehearsal). It runs while the old lease runs out. It is a condition: if it fails or hangs, the application
 *   is not started, the host gives the service up like one whose application did not start, and another host is
 *   asked. An application without what the hook sets up would be worse than one elsewhere.
 * - `on_promote`, once this host serves. Only then is it certain that the application runs and the old lease is over:
 *   an address that moved earlier would point at a host that may not become primary. Nothing waits for it: waiting
 *   would make each failover longer for clients that come through gateways, which need no address. If it fails, that
 *   is a warning and an event, and the host serves on: giving up a service that works because of an address would turn
 *   an annoyance into an outage.
 * - `on_demote`, when a term in which `on_promote` was begun is over, however it ended: after the gate is shut and, in
 *   an orderly end, after the `vacate` record. So it delays neither the fence nor the successor, and the hooks of two
 *   hosts may overlap: that of the new primary has to take what it needs (gratuitous ARP, a DNS update), not wait for
 *   it to be released. A process that is killed runs nothing; its next start does, before it restores, if its marker
 *   says that it was primary. A hook may therefore run more than once, and must not mind.
 *
 * They run one after the other, so `on_demote` of one term never undoes what the next one has set up; it ends an
 * `on_promote` that still runs. `before_start` waits for it, for its limit at most; the two limits together stay below
 * what a gateway grants a candidate without progress (30 s).
 */
import { BackgroundTasks } from "../runtime/background-tasks.ts";
import type { Clock } from "../runtime/clock.ts";
import { ApplicationError } from "./application/application-error.ts";
import type { HookCall, HookEnd, HookName, HookResult, HookRunner } from "./ports/hook.ts";

const consequences: Readonly<Record<HookName, string>> = {
  before_start: "the application is not started here",
  on_promote: "this host serves all the same",
  on_demote: "what it releases may still be here",
};

export interface HooksOptions {
  readonly config: { readonly service: string; readonly id: string; readonly dataFolder: string };
  readonly clock: Clock;
  /** Undefined: this host has none. */
  readonly run: HookRunner | undefined;
  readonly onWarning: (text: string) => void;
  readonly onChange: () => void;
}

export class Hooks {
  readonly #options: HooksOptions;
  readonly #background = new BackgroundTasks();
  readonly #last = new Map<HookName, HookResult>();
  /** What runs, and what waits for it. Never rejects. */
  #queue: Promise<unknown> = Promise.resolve();
  /** Of the term in which `on_promote` was begun; undefined: there is none, or it is over. */
  #promoted: { readonly epoch: number; readonly abort: AbortController } | undefined;

  constructor(options: HooksOptions) {
    this.#options = options;
  }

  /** The last run of each, for the status. */
  get runs(): readonly HookResult[] {
    return [...this.#last.values()];
  }

  /** Throws `ApplicationError` if the application must not be started. */
  async beforeStart(epoch: number, signal: AbortSignal): Promise<void> {
    if (this.#options.run === undefined) return;
    const end = await this.#enqueue({ hook: "before_start", epoch, role: "primary", reason: "", signal });
    signal.throwIfAborted();
    if (end?.kind === "failed")
      throw new ApplicationError(`the hook before_start ${end.why}: the application is not started`);
  }

  /** This host serves. */
  promoted(epoch: number): void {
    const abort = new AbortController();
    this.#promoted = { epoch, abort };
    const call = { hook: "on_promote", epoch, role: "primary", reason: "", signal: abort.signal } as const;
    this.#background.own(this.#enqueue(call));
  }

  /** The gate is shut, whatever the end of the term; nothing if this host did not serve in it. */
  demoted(reason: string): void {
    const term = this.#promoted;
    if (term === undefined) return;
    this.#promoted = undefined;
    term.abort.abort();
    this.#demote(term.epoch, reason);
  }

  /** An earlier process of this host was primary, and may have been killed. */
  demotedBefore(epoch: number): void {
    this.#demote(epoch, "an earlier process of this host was primary");
  }

  /** Resolves once nothing runs. */
  async settled(): Promise<void> {
    await this.#queue;
  }

  #demote(epoch: number, reason: string): void {
    const { signal } = new AbortController();
    this.#background.own(this.#enqueue({ hook: "on_demote", epoch, role: "secondary", reason, signal }));
  }

  #enqueue(call: Omit<HookCall, "service" | "host" | "dataFolder">): Promise<HookEnd | undefined> {
    const end = this.#queue.then(() => this.#run(call));
    this.#queue = end;
    return end;
  }

  /** Never rejects. */
  async #run(given: Omit<HookCall, "service" | "host" | "dataFolder">): Promise<HookEnd | undefined> {
    const { config, clock, run, onChange, onWarning } = this.#options;
    const { hook, epoch, signal } = given;
    if (signal.aborted) return undefined;
    const startedAt = clock.now();
    const atMs = Math.floor(clock.wallTime());
    const { service, id: host, dataFolder } = config;
    const end = await run?.({ ...given, service, host, dataFolder });
    if (end === undefined) return undefined;
    const why = end.kind === "failed" ? end.why : undefined;
    this.#last.set(hook, { hook, atMs, epoch, ok: why === undefined, ms: clock.now() - startedAt, detail: why });
    if (why !== undefined) onWarning(`the hook ${hook} ${why}; ${consequences[hook]}`);
    onChange();
    return end;
  }
}
