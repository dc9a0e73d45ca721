/**
 * A message that breaks RFC 9110/9112 or a limit, or that different implementations would read differently.
 *
 * `code` is stable and goes to logs. `message` describes the error and never repeats raw input, so it is safe to show
 * to any client. `status` is the response to a client; for an invalid upstream response the client always gets 502.
 */
export type ProtocolStatus = 400 | 408 | 413 | 414 | 417 | 429 | 431 | 501 | 505;

export class ProtocolError extends Error {
  readonly status: ProtocolStatus;
  readonly code: string;

  constructor(status: ProtocolStatus, code: string, message: string) {
    super(message);
    this.name = "ProtocolError";
    this.status = status;
    this.code = code;
  }
}
