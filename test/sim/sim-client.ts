/**
 * A client: one request at a time through any gateway; what it was told goes into the history. It never repeats a
 * write.
 */
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { Operation, Outcome } from "./history.ts";
import type { Answer, Request, RequestKind, Traits } from "./messages.ts";
import { dial, type Network } from "./network.ts";
import { gatewayOf } from "./sim-gateway.ts";
import type { SimMachine } from "./sim-machine.ts";
import { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

export interface ClientOptions {
  readonly thinkMs: number;
  readonly timeoutMs: number;
  readonly writeShare: number;
  /** Of the writes. */
  readonly putShare: number;
  /** Of the reads. */
  readonly poisonShare: number;
  /** Of all. */
  readonly longShare: number;
  readonly keys: number;
}

export interface ClientSetup {
  readonly world: World;
  readonly network: Network;
  readonly dice: SeededRandom;
  readonly name: string;
  readonly gateways: readonly SimMachine[];
  readonly options: ClientOptions;
  readonly operations: Operation[];
}

export class SimClient {
  readonly name: string;
  readonly #setup: ClientSetup;
  readonly #process: SimProcess;
  #isStopped = false;
  #inFlight = 0;

  constructor(setup: ClientSetup) {
    this.#setup = setup;
    this.name = setup.name;
    this.#process = new SimProcess(setup.world, setup.name, { rate: 1, wallStartMs: 0 });
  }

  get isIdle(): boolean {
    return this.#inFlight === 0;
  }

  start(): void {
    const { dice, options } = this.#setup;
    this.#process.clock.setTimer(dice.around(options.thinkMs), () => {
      if (this.#isStopped) return;
      const kind = !dice.chance(options.writeShare) ? "read" : dice.chance(options.putShare) ? "put" : "append";
      const traits = this.#drawTraits(kind);
      this.ask({ kind, key: dice.int(0, options.keys - 1), ...traits }, dice.pick(this.#setup.gateways), () =>
        this.start(),
      );
    });
  }

  #drawTraits(kind: RequestKind): Traits {
    const { dice, options } = this.#setup;
    if (kind === "read" && dice.chance(options.poisonShare))
      return { poison: dice.pick(["ends", "ends", "invalid"] as const) };
    return dice.chance(options.longShare) ? { isLong: true } : {};
  }

  stop(): void {
    this.#isStopped = true;
  }

  ask(what: Omit<Request, "id" | "epoch">, gateway: SimMachine, then: (outcome: Outcome) => void): void {
    const { world, operations, network, options } = this.#setup;
    const request: Request = { ...what, id: operations.length + 1 };
    const { kind, key } = what;
    const operation: Operation = {
      id: request.id,
      client: this.name,
      kind,
      key,
      poison: what.poison,
      calledAt: world.now,
      returnedAt: Infinity,
      outcome: { kind: "unknown" },
    };
    operations.push(operation);
    this.#inFlight += 1;
    let isOver = false;
    const settle = (answer: Answer): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      dialled.abort();
      this.#inFlight -= 1;
      operation.outcome =
        answer.kind === "ok"
          ? { kind: "ok", reading: answer.reading, value: answer.register.value }
          : { kind: answer.kind === "put-aside" ? "not-executed" : answer.kind };
      if (answer.kind === "ok") operation.returnedAt = world.now;
      world.trace.event(world.now, `${request.id} ${answer.kind}`);
      then(operation.outcome);
    };
    const timer = this.#process.clock.setTimer(options.timeoutMs, () =>
      settle({ kind: "unknown", reason: "the client gave up" }),
    );
    const dialled = dial<Answer>({
      network,
      client: this.#process,
      from: this.name,
      to: gateway,
      label: "request",
      serve: (process, end) => gatewayOf(process)?.onRequest(request, end),
      onLine: settle,
      onEnd: (how) =>
        settle(how === "refused" ? { kind: "not-executed", reason: how } : { kind: "unknown", reason: how }),
    });
  }
}
