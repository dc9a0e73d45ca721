/**
 * Promotions and demotions in progress: each call of the state machine is one HTTP call to a host, and the host's
 * answers become events. A cancelled call reports nothing.
 */
import type { StreamEnd } from "../../control/host-client.ts";
import type { FailoverEffect, FailoverEvent } from "../../core/failover/state.ts";
import type { KnownSuspect } from "../../core/suspects.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { HostControl } from "../../control/host-control.ts";
import type { Refusal } from "../../core/refusal.ts";

type PromoteOrder = Extract<FailoverEffect, { kind: "promote" }>;
type DemoteOrder = Extract<FailoverEffect, { kind: "demote" }>;

/** What the hosts of the service reported, for the future primary. */
interface PromoteKnowledge {
  readonly suspects: readonly KnownSuspect[];
  readonly recordFormat: number | undefined;
}

export class Orders {
  readonly #gateway: string;
  readonly #send: (event: FailoverEvent) => void;
  readonly #onNotRewound: (rewind: string, why: string) => unknown;
  readonly #running = new Map<number, AbortController>();
  readonly #background = new BackgroundTasks();

  /** `onNotRewound`: a host steps down without the rewind of this id. */
  constructor(
    gateway: string,
    send: (event: FailoverEvent) => void,
    onNotRewound: (rewind: string, why: string) => unknown,
  ) {
    this.#gateway = gateway;
    this.#send = send;
    this.#onNotRewound = onNotRewound;
  }

  promote(client: HostControl | undefined, order: PromoteOrder, { suspects, recordFormat }: PromoteKnowledge): void {
    const { call, epoch, planned, positionHeard, vault, gatewaysRegistered } = order;
    const request = {
      gateway: this.#gateway,
      epoch,
      planned,
      positionHeard,
      vault: vault ?? null,
      gatewaysRegistered,
      gatewaysSeeingDown: [...order.gatewaysSeeingDown],
      basedOn: order.basedOn ?? null,
      suspects: [...suspects],
      recordFormat: recordFormat ?? null,
    };
    this.#run(call, client, (target, signal) =>
      target.promote(
        request,
        (event) => {
          if (signal.aborted) return;
          if (event.kind === "done") this.#send({ kind: "promoted", call, epoch: event.epoch, dataUrl: event.dataUrl });
          else this.#common(call, event);
        },
        signal,
      ),
    );
  }

  demote(client: HostControl | undefined, order: DemoteOrder): void {
    const { call, successor, reason, epoch, rewind } = order;
    this.#run(call, client, (target, signal) =>
      target.demote(
        {
          gateway: this.#gateway,
          successor: successor ?? null,
          reason,
          epoch,
          ...(rewind === undefined ? {} : { rewind }),
        },
        (event) => {
          if (signal.aborted) return;
          if (event.kind === "done") this.#send({ kind: "demoted", call });
          else if (event.kind === "not-rewound") this.#onNotRewound(rewind ?? "", event.reason);
          else this.#common(call, event);
        },
        signal,
      ),
    );
  }

  cancel(call: number): void {
    this.#running.get(call)?.abort(new Error("no longer needed"));
    this.#running.delete(call);
  }

  async close(): Promise<void> {
    for (const call of [...this.#running.keys()]) this.cancel(call);
    await this.#background.settled();
  }

  #common(
    call: number,
    event:
      | { readonly kind: "phase"; readonly phase: string; readonly ms: number }
      | { readonly kind: "refused"; readonly refusal: Refusal },
  ): void {
    if (event.kind === "phase") this.#send({ kind: "phase-ended", call, phase: event.phase, ms: event.ms });
    else this.#send({ kind: "call-refused", call, refusal: event.refusal });
  }

  #run(
    call: number,
    client: HostControl | undefined,
    work: (client: HostControl, signal: AbortSignal) => Promise<StreamEnd>,
  ): void {
    if (client === undefined) {
      this.#send({ kind: "call-lost", call, why: "the host is not registered" });
      return;
    }
    const controller = new AbortController();
    this.#running.set(call, controller);
    this.#background.own(this.#reportEnd(call, work(client, controller.signal), controller.signal));
  }

  async #reportEnd(call: number, work: Promise<StreamEnd>, signal: AbortSignal): Promise<void> {
    const end = await work;
    this.#running.delete(call);
    if (signal.aborted || end.kind === "ended") return;
    this.#send({ kind: "call-lost", call, why: `${end.kind}: ${end.message}` });
  }
}
