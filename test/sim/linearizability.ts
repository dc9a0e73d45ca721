/**
 * Is a history linearizable? The search of Wing and Gong (1993) with Lowe's memory of configurations seen (2017), as in
 * Porcupine: an operation can be the next one if no other operation returned before it was called; try it on the model;
 * continue with the rest; backtrack when nothing fits. Works on one object; a history of several keys is split by key
 * first (Herlihy and Wing's locality).
 *
 * An operation that never returned may take effect at any time after its call, or never.
 */
export interface Event<Input, Output> {
  readonly calledAt: number;
  /** Infinity: it never returned, and `output` is undefined. */
  readonly returnedAt: number;
  readonly input: Input;
  readonly output: Output | undefined;
}

export interface Model<State, Input, Output> {
  readonly initial: State;
  /** The state after the operation, or undefined when it cannot have had this output in this state. */
  step(state: State, input: Input, output: Output | undefined): State | undefined;
  /** Equal keys for equal states. */
  keyOf(state: State): string;
}

export type Verdict<Input, Output> =
  | { readonly kind: "linearizable" }
  /** The longest order that was found, and what could not follow it. */
  | {
      readonly kind: "not-linearizable";
      readonly longest: readonly Event<Input, Output>[];
      readonly stuck: readonly Event<Input, Output>[];
    }
  | { readonly kind: "gave-up" };

const configurationsMax = 2_000_000;

export function checkLinearizable<State, Input, Output>(
  events: readonly Event<Input, Output>[],
  model: Model<State, Input, Output>,
): Verdict<Input, Output> {
  const sorted = [...events].sort((a, b) => a.calledAt - b.calledAt);
  const search = new Search(sorted, model);
  return search.run();
}

interface Frame<State> {
  readonly event: number;
  readonly before: State;
}

class Search<State, Input, Output> {
  readonly #events: readonly Event<Input, Output>[];
  readonly #model: Model<State, Input, Output>;
  /** Doubly linked list of the operations that are not placed yet, in the order of their calls; 0 is its head. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #placed: Uint8Array;
  /** Everything before it is placed; it is not. */
  #first = 0;
  readonly #seen = new Set<string>();

  constructor(events: readonly Event<Input, Output>[], model: Model<State, Input, Output>) {
    this.#events = events;
    this.#model = model;
    const size = events.length + 2;
    this.#next = Int32Array.from({ length: size }, (_, i) => i + 1);
    this.#previous = Int32Array.from({ length: size }, (_, i) => i - 1);
    this.#placed = new Uint8Array(events.length);
  }

  run(): Verdict<Input, Output> {
    const frames: Frame<State>[] = [];
    let state = this.#model.initial;
    let longest: readonly number[] = [];
    let at = this.#next[0] as number;
    for (;;) {
      if (this.#isDone()) return { kind: "linearizable" };
      const found = this.#firstThatFits(at, state);
      if (found === "gave-up") return { kind: "gave-up" };
      if (found !== undefined) {
        frames.push({ event: found.event, before: state });
        state = found.state;
        at = this.#next[0] as number;
        continue;
      }
      if (frames.length > longest.length) longest = frames.map(({ event }) => event);
      const frame = frames.pop();
      if (frame === undefined) return this.#stuck(longest);
      this.#putBack(frame.event);
      state = frame.before;
      at = this.#next[frame.event] as number;
    }
  }

  /** Everything that returned is placed; what never returned may never have happened. */
  #isDone(): boolean {
    for (let i = this.#next[0] as number; i <= this.#events.length; i = this.#next[i] as number) {
      if (this.#event(i).returnedAt !== Infinity) return false;
    }
    return true;
  }

  /**
   * The first operation from `at` on that can be next, placed; operations called after an unplaced one returned cannot.
   */
  #firstThatFits(at: number, state: State): { event: number; state: State } | "gave-up" | undefined {
    let horizon = Infinity;
    for (let i = this.#next[0] as number; i <= this.#events.length; i = this.#next[i] as number) {
      const event = this.#event(i);
      if (event.calledAt > horizon) return undefined;
      horizon = Math.min(horizon, event.returnedAt);
      if (i < at) continue;
      const after = this.#model.step(state, event.input, event.output);
      if (after === undefined) continue;
      this.#take(i);
      const key = this.#configuration(after);
      if (!this.#seen.has(key)) {
        if (this.#seen.size >= configurationsMax) return "gave-up";
        this.#seen.add(key);
        return { event: i, state: after };
      }
      this.#putBack(i);
    }
    return undefined;
  }

  /** What is placed, compactly: all before the first that is not, and those after it. */
  #configuration(state: State): string {
    const first = this.#first;
    let beyond = "";
    for (let i = first + 1; i < this.#placed.length; i++) {
      if (this.#placed[i] === 1) beyond += `,${i}`;
      else if (this.#horizonAfter(first) < (this.#events[i] as Event<Input, Output>).calledAt) break;
    }
    return `${first}${beyond}|${this.#model.keyOf(state)}`;
  }

  /** Nothing called after this moment can be placed while the operation is not. */
  #horizonAfter(first: number): number {
    return (this.#events[first] as Event<Input, Output>).returnedAt;
  }

  #event(i: number): Event<Input, Output> {
    return this.#events[i - 1] as Event<Input, Output>;
  }

  #take(i: number): void {
    this.#placed[i - 1] = 1;
    while (this.#placed[this.#first] === 1) this.#first += 1;
    const [before, after] = [this.#previous[i] as number, this.#next[i] as number];
    this.#next[before] = after;
    this.#previous[after] = before;
  }

  #putBack(i: number): void {
    this.#placed[i - 1] = 0;
    this.#first = Math.min(this.#first, i - 1);
    this.#next[this.#previous[i] as number] = i;
    this.#previous[this.#next[i] as number] = i;
  }

  #stuck(longest: readonly number[]): Verdict<Input, Output> {
    const placed = new Set(longest);
    const rest = this.#events.filter((_, index) => !placed.has(index + 1));
    return { kind: "not-linearizable", longest: longest.map((i) => this.#event(i)), stuck: rest.slice(0, 10) };
  }
}
