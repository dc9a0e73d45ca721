/** Listening with errors that say what to do. */
import type { Tcp, TcpListener, TcpListenOptions, TcpSocket } from "../../runtime/tcp/tcp.ts";
import { authority } from "../message/head.ts";

export class ListenError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "ListenError";
    this.code = code;
  }
}

export async function listenOn(tcp: Pick<Tcp, "listen">, options: TcpListenOptions, onSocket: (socket: TcpSocket) => void): Promise<TcpListener> {
  try {
    return await tcp.listen(options, onSocket);
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, options.host, options.port);
  }
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): ListenError {
  const where = authority(host, port);
  switch (error.code) {
    case "EADDRINUSE":
      return new ListenError("EADDRINUSE", `cannot listen on ${where}: the port is in use; stop the process that has it (ss -ltnp 'sport = :${port}' shows it) or choose another port`);
    case "EACCES":
      return new ListenError("EACCES", `cannot listen on ${where}: not allowed; choose a port from 1024 up, or give the process CAP_NET_BIND_SERVICE`);
    case "EADDRNOTAVAIL":
      return new ListenError("EADDRNOTAVAIL", `cannot listen on ${where}: this machine does not have that address; use one of its own, or 0.0.0.0 for all`);
    default:
      return new ListenError(error.code ?? "unknown", `cannot listen on ${where}: ${error.message}`);
  }
}
