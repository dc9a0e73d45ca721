/** Whether a member takes connections: a request would be held by a gateway that has no primary. */
import { once } from "node:events";
import { connect } from "node:net";

export async function isListening(url: string): Promise<boolean> {
  const { hostname: host, port } = new URL(url);
  const socket = connect({ host, port: Number(port) });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
