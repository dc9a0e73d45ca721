import { OperatorError } from "../runtime/operator-error.ts";

/** The copy on a secondary is not what the journal says: it must be restored. */
export class ReplicaError extends OperatorError {
  readonly database: string;
  /** Without the name of the database. */
  readonly reason: string;
  /** `content`: of a flush or a checkpoint. `foreign`: something else wrote to the copy here. */
  readonly kind: "content" | "foreign";
  constructor(database: string, found: string, accepted: string, kind: "content" | "foreign" = "content") {
    super("vault", {
      found: `${database}: ${found}`,
      accepted,
      advice: "This host must restore from the newest checkpoint; if it happens again, verify the vault.",
    });
    this.database = database;
    this.reason = `found ${found}; accepted is ${accepted}`;
    this.kind = kind;
  }
}
