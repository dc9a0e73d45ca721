/**
 * What a host learns of requests from the records that it reads (core/request-names.ts): their names, the answers to
 * them, the table of a checkpoint, and what becomes of them by a rewind.
 *
 * The first part of a flush has the names, which count from then on, and what counts once its last part is read: the
 * answers, and a rewind. Without that part the flush is none (src/vault/log/flush-assembler.ts).
 */
import type { NamedOutcome, RequestNames } from "../core/request-names.ts";
import type { RewoundStatus } from "../control/rewind-api.ts";
import type { Clock } from "../runtime/clock.ts";
import { requestNamesOf } from "../vault/log/request-names-section.ts";
import { namesTableOf } from "../vault/log/request-table-sections.ts";
import { requestOutcomesOf } from "../vault/log/request-outcomes-section.ts";
import { type Rewound, rewoundOf } from "../vault/log/rewound-section.ts";
import type { LogRecord } from "../vault/record.ts";

export interface ReadRequestsOptions {
  readonly names: () => RequestNames;
  readonly clock: Clock;
  readonly onRewound: (rewound: RewoundStatus) => void;
}

export class ReadRequests {
  readonly #options: ReadRequestsOptions;
  #outcomes: NamedOutcome[] = [];
  #rewound: Rewound | undefined;

  constructor(options: ReadRequestsOptions) {
    this.#options = options;
  }

  take(record: LogRecord): void {
    const { body } = record;
    if (body.kind === "commit") this.#takeFlush(record, body);
    if (body.kind === "checkpoint") this.#takeTable(record);
  }

  #takeTable({ header, sections }: LogRecord): void {
    const { names, clock } = this.#options;
    const table = namesTableOf(sections);
    if (table !== undefined) names().onTable(header.position, table, clock.now());
  }

  #takeFlush({ header, sections }: LogRecord, { part, parts }: Extract<LogRecord["body"], { kind: "commit" }>): void {
    const { clock, onRewound } = this.#options;
    const names = this.#options.names();
    if (part === 1) {
      names.onFlush(header.position, requestNamesOf(sections));
      this.#outcomes = requestOutcomesOf(sections);
      this.#rewound = rewoundOf(sections);
    }
    if (part !== parts) return;
    names.onOutcomes(header.position, this.#outcomes.splice(0), clock.now());
    if (this.#rewound === undefined) return;
    names.onRewound(header.position, this.#rewound.requests);
    onRewound(rewoundStatusOf(header, this.#rewound));
  }
}

/** `header`: of the last record of its flush. */
export const rewoundStatusOf = (
  { position, wallTimeMs: atMs }: Pick<LogRecord["header"], "position" | "wallTimeMs">,
  { to, toMs, undoneTo }: Rewound,
): RewoundStatus => ({ position, atMs, to: { position: to, wallTimeMs: toMs }, undoneTo });
