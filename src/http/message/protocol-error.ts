/**
 * A message that breaks RFC 9110/9112 or a limit, or that different implementations would read differently.
 *
 * `code` is stable and goes to logs; `message` says what is wrong in words and never repeats raw input, so it may be
 * shown to anybody. `status` is what a client gets; for a response from upstream the client gets 502 whatever it says.
 */
export type ProtocolStatus = 400 | 408 | 413 | 414 | 417 | 431 | 501 | 505;

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
