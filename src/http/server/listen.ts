/** Listens, with errors that say what to do. */
import { OperatorError } from "../../runtime/operator-error.ts";
import type { Tcp, TcpListener, TcpListenOptions, TcpSocket } from "../../runtime/tcp/tcp.ts";
import { authority } from "../message/head.ts";

export class ListenError extends OperatorError {
  readonly code: string;

  constructor(code: string, found: string, advice: string) {
    super("resource", { found, advice });
    this.code = code;
  }
}

export async function listenOn(
  tcp: Pick<Tcp, "listen">,
  options: TcpListenOptions,
  onSocket: (socket: TcpSocket) => void,
): Promise<TcpListener> {
  try {
    return await tcp.listen(options, onSocket);
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, options.host, options.port);
  }
}

function explain({ code = "unknown", message }: NodeJS.ErrnoException, host: string, port: number): ListenError {
  const where = authority(host, port);
  const error = (why: string, advice: string): ListenError =>
    new ListenError(code, `cannot listen on ${where}: ${why}`, advice);
  switch (code) {
    case "EADDRINUSE":
      return error(
        "the port is in use",
        `stop the process that has it (ss -ltnp 'sport = :${port}' shows it) or choose another port`,
      );
    case "EACCES":
      return error("not allowed", "choose a port from 1024 up, or give the process CAP_NET_BIND_SERVICE");
    case "EADDRNOTAVAIL":
      return error("this machine does not have that address", "use one of its addresses, or 0.0.0.0 for all");
    default:
      return error(message, "choose another address or port in the configuration");
  }
}
