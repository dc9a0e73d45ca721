/** The copy on a secondary is not what the journal says: it must be restored anew. */
export class ReplicaError extends Error {
  override readonly name = "ReplicaError";
  readonly database: string;
  readonly found: string;
  readonly accepted: string;
  /** `content`: of a flush or a checkpoint. `foreign`: something else wrote into the copy here. */
  readonly kind: "content" | "foreign";
  readonly advice = "This host must restore from the newest checkpoint; when it happens again, verify the vault.";
  constructor(database: string, found: string, accepted: string, kind: "content" | "foreign" = "content") {
    super(`${database}: found ${found}; accepted is ${accepted}`);
    this.database = database;
    this.found = found;
    this.accepted = accepted;
    this.kind = kind;
  }
}
