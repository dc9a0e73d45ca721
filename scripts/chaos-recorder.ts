/**
 * Wraps a load's model so that every operation is kept, with the times of its call and answer and the answer itself.
 */
import type { SeededRandom } from "../harness/seeded-random.ts";
import type { History } from "../harness/history.ts";
import { type DemoAnswer, type DemoModel, field, type Get, type Operation } from "../harness/model.ts";
import type { Clock } from "../src/runtime/clock.ts";
import type { ChaosOperation } from "./chaos-versions.ts";

export class RecordingModel implements DemoModel {
  readonly #model: DemoModel;
  readonly #clock: Clock;
  readonly #operations: ChaosOperation[];

  constructor(model: DemoModel, clock: Clock, operations: ChaosOperation[]) {
    this.#model = model;
    this.#clock = clock;
    this.#operations = operations;
  }

  prepare(get: Get, history: History): Promise<void> {
    return this.#model.prepare(get, history);
  }

  next(dice: SeededRandom, worker: number): Operation {
    return this.#recorded(this.#model.next(dice, worker));
  }

  probe(dice: SeededRandom): Operation & { readonly write: string } {
    return this.#model.probe(dice);
  }

  readBack(get: Get): ReturnType<DemoModel["readBack"]> {
    return this.#model.readBack(get);
  }

  #recorded(operation: Operation): Operation {
    const { method, path } = operation.request;
    const kind = operation.write !== undefined ? "write" : operation.key !== undefined ? "read-record" : "read-all";
    const recorded: ChaosOperation = {
      what: `${method} ${path} ${operation.write?.split(" ")[0] ?? ""}`.trim(),
      kind,
      key: operation.key,
      write: operation.write,
      calledAt: this.#clock.now(),
      returnedAt: Infinity,
      revision: undefined,
    };
    this.#operations.push(recorded);
    return {
      ...operation,
      settle: (answer, moment, history) => {
        const refusal = operation.settle(answer, moment, history);
        if (refusal === undefined) this.#settled(recorded, answer);
        return refusal;
      },
    };
  }

  #settled(recorded: ChaosOperation, { status, body }: DemoAnswer): void {
    recorded.returnedAt = this.#clock.now();
    const said = recorded.kind === "read-all" ? field(body, "latest") : (field(body, "revision") ?? field(body, "seq"));
    if (typeof said === "number") recorded.revision = said;
    else if (status === 404) recorded.revision = 0;
    // A new note's key is known from its answer.
    const id = field(body, "id");
    if (recorded.kind !== "write" || recorded.key !== undefined) return;
    if (typeof id === "number") recorded.key = `note ${id}`;
    else if (typeof id === "string") recorded.key = `transfer ${id}`;
  }
}
