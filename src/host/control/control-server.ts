/** The listener of the control API, and what to do when it cannot listen. */
import type { Address } from "../../config/types.ts";
import type { Api } from "../../control/server/api.ts";
import { type ApiListener, listenApi } from "../../control/server/listener.ts";
import type { ClusterTls } from "../../control/tls/cluster-tls.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

/** The address is taken or not ours. */
export class ControlListenError extends OperatorError {
  constructor(address: Address, cause: Error) {
    const found = `cannot listen on ${address.host}:${address.port} for the control API: ${cause.message}`;
    super(
      "resource",
      {
        found,
        advice:
          "another process listens there (is this host running already?), or the address is not this machine's; change `control` in [host]",
      },
      { cause },
    );
  }
}

/** Rejects with `ControlListenError`. */
export async function serveControl(app: Api, address: Address, tls?: ClusterTls): Promise<ApiListener> {
  try {
    return await listenApi(app, address, { tls });
  } catch (error) {
    throw new ControlListenError(address, error as Error);
  }
}
