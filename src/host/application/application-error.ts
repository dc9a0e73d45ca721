/** The application could not be started, or did not become ready. */
export class ApplicationError extends Error {
  override readonly name = "ApplicationError";
  /** Started once more, at another port, it may do better: it ended by itself. */
  readonly mayPass: boolean;

  constructor(message: string, mayPass = false) {
    super(message);
    this.mayPass = mayPass;
  }
}
