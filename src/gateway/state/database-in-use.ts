/** Another gateway has the database: what each remembers would be overwritten by the other. */
export class DatabaseInUseError extends Error {
  override readonly name = "DatabaseInUseError";
  readonly accepted = "one running gateway for each `gateway.database`";
  readonly advice = "stop that gateway (one that is frozen keeps its database until it is killed), or give this one an `id` and a `database` of its own";
  constructor(path: string, holder: number | undefined) {
    super(`another gateway${holder === undefined ? "" : ` (process ${holder})`} has the database ${path}`);
  }
}
