import { OperatorError } from "../../runtime/operator-error.ts";

/** The application could not be started, or did not become ready. */
export class ApplicationError extends OperatorError {
  /** It ended by itself and may succeed when started once more, on another port. */
  readonly mayPass: boolean;

  constructor(found: string, mayPass = false) {
    super("application", { found, advice: "check its output, and [host.application] in the configuration" });
    this.mayPass = mayPass;
  }
}
