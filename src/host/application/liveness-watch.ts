/**
 * Watches one run of an application from the moment it is ready: checks, looks, and reports the decisions of
 * src/core/host/liveness.ts.
 *
 * It looks every `lookMs` with one timer; while all is well a look compares two numbers and reads nothing from /proc.
 */
import {
  type CheckResult,
  initialLiveness,
  type LivenessEffect,
  type LivenessEvent,
  type LivenessSettings,
  type LivenessState,
  lookMs,
  stepLiveness,
  type Vitals,
  wantsVitals,
} from "../../core/host/liveness.ts";
import type { Rules } from "../../core/rules.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";

export interface LivenessWatchOptions {
  readonly settings: LivenessSettings;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly check: (signal: AbortSignal) => Promise<CheckResult>;
  readonly vitals: () => Vitals;
  /** It has become ready, failing or stuck, or fails in another way. */
  readonly onChange: () => void;
  /** Called once; the watch has then ended. */
  readonly onStuck: (detail: string) => void;
}

export class LivenessWatch {
  readonly #options: LivenessWatchOptions;
  #state: LivenessState;
  #timer: Timer | undefined;
  #check = new AbortController();

  constructor(options: LivenessWatchOptions) {
    this.#options = options;
    this.#state = initialLiveness(options.clock.now());
    this.#lookLater();
  }

  get state(): LivenessState {
    return this.#state;
  }

  /** Stops checking and reporting. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#check.abort();
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.setTimer(lookMs, () => {
      this.#lookLater();
      this.#step({ kind: "looked", vitals: wantsVitals(this.#state) ? this.#options.vitals() : undefined });
    });
  }

  #step(event: LivenessEvent): void {
    const { clock, settings, rules, onChange } = this.#options;
    const before = this.#state;
    const { state, effects } = stepLiveness(before, event, clock.now(), settings, rules);
    this.#state = state;
    if (state.kind !== before.kind || detailOf(state) !== detailOf(before)) onChange();
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: LivenessEffect): void {
    switch (effect.kind) {
      case "check":
        return this.#ask();
      case "abandon-check":
        return this.#check.abort();
      case "stuck":
        this.close();
        return this.#options.onStuck(effect.detail);
    }
  }

  #ask(): void {
    const controller = new AbortController();
    this.#check = controller;
    this.#options.check(controller.signal).then(
      (result) => {
        if (!controller.signal.aborted) this.#step({ kind: "checked", result });
      },
      (error: unknown) => {
        if (!controller.signal.aborted)
          this.#step({ kind: "checked", result: { kind: "unmade", detail: String(error) } });
      },
    );
  }
}

const detailOf = (state: LivenessState): string | undefined => ("detail" in state ? state.detail : undefined);
