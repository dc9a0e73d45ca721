/**
 * The times at which connections wrote. docs/CAPTURE.md names a commit that can be acknowledged and lost: that of a
 * writer without locks while another process has the writer's lock, because its frames are taken for the other one's.
 * Such a commit is not counted as acknowledged.
 */
import type { FileKey } from "./ledger.ts";
import type { Connection } from "./program.ts";

/** For so long after the writer's lock was held, frames in the log are taken for its holder's. */
const lockSeenMs = 20;

/** From before the first statement of a transaction until after its last. */
interface Span {
  readonly keys: readonly FileKey[];
  readonly hasLocks: boolean;
  readonly fromMs: number;
  toMs: number;
}

/** An engine that coordinates by other files has no locks either. */
export type Locking = "with locks" | "without locks";

export const lockingOf = ({ query }: Pick<Connection, "query">): Locking =>
  query === "" ? "with locks" : "without locks";

export interface Writing {
  end(): void;
  /** It had no locks, and another connection may have had the lock of one of its files meanwhile. */
  readonly wasHidden: boolean;
}

export class Writings {
  readonly #nowMs: () => number;
  readonly #spans: Span[] = [];

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  begin(locking: Locking, keys: readonly FileKey[]): Writing {
    const spans = this.#spans;
    const span: Span = { keys, hasLocks: locking === "with locks", fromMs: this.#nowMs(), toMs: Infinity };
    spans.push(span);
    return {
      end: () => void (span.toMs = this.#nowMs()),
      get wasHidden() {
        return !span.hasLocks && spans.some((other) => other.hasLocks && meet(span, other));
      },
    };
  }
}

const meet = (span: Span, other: Span): boolean =>
  other.fromMs <= span.toMs &&
  other.toMs >= span.fromMs - lockSeenMs &&
  other.keys.some((key) => span.keys.includes(key));
