/** An address beside `gateway.listen` (`[[gateway.listener]]`). */
export interface FurtherListener {
  readonly address: { readonly host: string; readonly port: number };
  readonly serve:
    | { readonly kind: "plain" }
    /** With the certificates of [gateway.tls]. */
    | { readonly kind: "tls" }
    /** Sends clients to https at this port. */
    | { readonly kind: "redirect"; readonly port: number };
}

/** All addresses of a gateway for clients, in the order of its listening sockets. */
export const addressesOf = ({
  listen,
  dataPlane,
}: {
  readonly listen: FurtherListener["address"];
  readonly dataPlane: Pick<ListenerProtocols, "listeners">;
}): readonly FurtherListener["address"][] => [listen, ...dataPlane.listeners.map(({ address }) => address)];

/** What a gateway's listeners serve, and by which code. */
export interface ListenerProtocols {
  /** Those with TLS offer HTTP/2 too. */
  readonly http2: boolean;
  /** Requests of HTTP/1.1 pass the Hono app too (http/embed). */
  readonly app: boolean;
  /** Beside `listen`. */
  readonly listeners: readonly FurtherListener[];
}
