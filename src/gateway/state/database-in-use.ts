/** Another gateway has the database: each would overwrite the other's rows. */
import { OperatorError } from "../../runtime/operator-error.ts";

export class DatabaseInUseError extends OperatorError {
  constructor(path: string, holder: number | undefined) {
    super("resource", {
      found: `another gateway${holder === undefined ? "" : ` (process ${holder})`} has the database ${path}`,
      accepted: "one running gateway for each `gateway.database`",
      advice:
        "stop that gateway (a frozen one keeps its database until it is killed), or give this one its own `id` and `database`",
    });
  }
}
