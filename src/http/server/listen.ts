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

export const listenOn = (
  tcp: Pick<Tcp, "listen">,
  options: TcpListenOptions,
  onSocket: (socket: TcpSocket) => void,
): Promise<TcpListener> => explained(() => tcp.listen(options, onSocket), options);

/** `listen` rejects with the system's error. */
export async function explained(
  listen: () => Promise<TcpListener>,
  { host, port }: Pick<TcpListenOptions, "host" | "port">,
): Promise<TcpListener> {
  try {
    return await listen();
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, host, port);
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
