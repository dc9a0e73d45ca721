/** TCP connections with mutual TLS, for the data plane: from a gateway to the front of a host. */
import { connect } from "node:tls";
import { nodeSocket, nodeSocketOptions } from "../../runtime/tcp/node-tcp.ts";
import type { Tcp } from "../../runtime/tcp/tcp.ts";
import type { Party } from "../channel/transcript.ts";
import type { SecureCalls } from "../channel/secure-calls.ts";

/** Connections count as made once the other side has shown the certificate of `to`. */
export const tlsConnect = (tls: SecureCalls, to: Party): Pick<Tcp, "connect"> => ({
  connect(host, port, user) {
    const socket = connect({ host, port, ...nodeSocketOptions, ...tls.callOptions(to) });
    socket.once("secureConnect", () => user.onConnect());
    const adapter = nodeSocket(socket);
    adapter.use(user);
    return adapter;
  },
});
