import { OperatorError } from "../../runtime/operator-error.ts";

/** The application could not be started, or did not become ready. */
export class ApplicationError extends OperatorError {
  /** Started once more, at another port, it may do better: it ended by itself. */
  readonly mayPass: boolean;

  constructor(found: string, mayPass = false) {
    super("application", { found, advice: "check its output, and [host.application] in the configuration" });
    this.mayPass = mayPass;
  }
}
