/**
 * Within an event of the simulation no time passes: work never gives the event loop a turn, which would come at a real
 * time, between other events on each run.
 */
import { EventLoopBudget } from "../../src/runtime/event-loop-budget.ts";

const real = Object.getOwnPropertyDescriptor(EventLoopBudget.prototype, "yieldIfDue");
let depth = 0;

/** Until it is disposed of; may be nested. */
export function withoutTurns(): Disposable {
  if (real === undefined) throw new Error("EventLoopBudget yields in another way by now");
  if (depth === 0)
    Object.defineProperty(EventLoopBudget.prototype, "yieldIfDue", { ...real, value: () => Promise.resolve() });
  depth += 1;
  return {
    [Symbol.dispose]: () => {
      depth -= 1;
      if (depth === 0) Object.defineProperty(EventLoopBudget.prototype, "yieldIfDue", real);
    },
  };
}
