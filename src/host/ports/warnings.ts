/**
 * A host's warnings for operators: a bounded list in its status, each also a line of its log.
 *
 * There are two kinds. A warning without a cause (an event) stays listed until newer ones displace it. One with a cause
 * that lasts (`WarningCause`) stays as long as its cause: the part that sees it end calls `over`, so that a later
 * status does not show it.
 */
import type { Logger } from "../../runtime/log.ts";
import { messageOf } from "../../runtime/operator-error.ts";

const warningsKept = 20;
const uncapturedNamed = 3;

/**
 * What can be wrong for a while: the vault does not answer or accept records, a restore or a checkpoint does not
 * succeed, the log is not the service's; the canary's findings; no gateway watches this host; a copy of the vault makes
 * no progress; the data folder has what is not covered.
 */
export type WarningCause =
  | "vault"
  | "restore"
  | "checkpoint"
  | "log"
  | "disk"
  | "descriptors"
  | "capture"
  | "excluded databases"
  | "writes to the vault"
  | "registry"
  | "vault keys"
  | "copies of the vault"
  | "uncovered";

interface Warning {
  readonly text: string;
  readonly cause: WarningCause | undefined;
}

export class Warnings {
  readonly #log: Logger;
  readonly #onChange: () => void;
  #warnings: readonly Warning[] = [];

  constructor(log: Logger, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Newest last. */
  get texts(): readonly string[] {
    return this.#warnings.map(({ text }) => text);
  }

  /**
   * Each text is listed once, at its newest place; repetitions are logged once. Of a cause the newest text is
   * listed.
   */
  warn(text: string, cause?: WarningCause): void {
    const known = this.#warnings.findIndex((warning) => warning.text === text && warning.cause === cause);
    if (known >= 0 && (cause !== undefined || known === this.#warnings.length - 1)) return;
    this.#log.warn(text);
    const others = this.#warnings.filter(
      (other) => other.text !== text && (cause === undefined || other.cause !== cause),
    );
    this.#warnings = [...others, { text, cause }].slice(-warningsKept);
    this.#onChange();
  }

  /** Removes the warning of a cause that is gone; cheap if there is none. */
  over(cause: WarningCause): void {
    const others = this.#warnings.filter((warning) => warning.cause !== cause);
    if (others.length === this.#warnings.length) return;
    this.#log.info(`resolved: ${cause}`);
    this.#warnings = others;
    this.#onChange();
  }
}

/** Names every database that cannot be captured now, for as long as that lasts. */
export function tellUncaptured(
  warnings: Pick<Warnings, "warn" | "over">,
): (now: readonly { readonly error: Error }[]) => void {
  return (now) => {
    if (now.length === 0) return warnings.over("capture");
    const which = now.length === 1 ? "a database that cannot" : `${now.length} databases that cannot`;
    warnings.warn(
      `responses are held for ${which} be captured: ${now
        .slice(0, uncapturedNamed)
        .map(({ error }) => messageOf(error))
        .join("; ")}`,
      "capture",
    );
  };
}
