/**
 * The server's side of tls-alpn-01 (RFC 8737): a client that offers this protocol alone is an authority that wants to
 * see a certificate made for it, and closes. All others must never see that certificate, and the name by which TLS
 * chooses one does not tell them apart: so the first message is read before the handshake, while a challenge is open.
 */
import type { Socket } from "node:net";
import { createServer } from "node:tls";
import type { ClientHello } from "./client-hello.ts";
import type { Certificate } from "./server-tls.ts";

const challengeProtocol = "acme-tls/1";

export interface AlpnChallenges {
  /** Otherwise no first message is read. */
  areOpen(): boolean;
  /** Undefined: none is open for this name. */
  certificateOf(serverName: string): Promise<Certificate | undefined>;
}

export const isChallenge = ({ protocols }: ClientHello): boolean =>
  protocols.length === 1 && protocols[0] === challengeProtocol;

/** Answers on a connection of which nothing has been read. */
export async function answerChallenge(
  socket: Socket,
  { serverName }: ClientHello,
  challenges: AlpnChallenges,
): Promise<void> {
  const certificate = serverName === undefined ? undefined : await challenges.certificateOf(serverName);
  if (certificate === undefined || socket.destroyed) {
    socket.destroy();
    return;
  }
  const { cert, key } = certificate;
  const server = createServer({ cert, key, ALPNProtocols: [challengeProtocol] });
  server.on("secureConnection", (secured) => {
    secured.on("error", () => undefined); // `close` follows
    secured.resume();
    secured.end();
  });
  server.on("tlsClientError", () => socket.destroy());
  server.emit("connection", socket);
}
