/**
 * The app on a listener's own connections: node:http reads HTTP/1.1, node:http2 reads HTTP/2, and each request is
 * passed to the app (node-adapter.ts). Sockets are accepted, counted and timed by the listener
 * (server/app-connection.ts), which gives them to these servers; they listen nowhere.
 *
 * HTTP/2 gives a client means that HTTP/1.1 does not have, each with a bound here: streams at a time, the size of a
 * field section, and streams that it opens only to cancel them (CVE-2023-44487), each of which could cost an attempt
 * upstream: beyond a burst the connection ends.
 */
import { createServer, type Server } from "node:http";
import {
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2Session,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import { type AppFetch, answerBy } from "./node-adapter.ts";
import { abortAnswer, type NodeMessages, whenClosed } from "./node-messages.ts";
import type { HttpLimits } from "../limits.ts";
import type { AppProtocol, AppServer, AppSession, AppStream } from "../server/app-connection.ts";
import type { ProxySource } from "../server/proxy-protocol.ts";
import type { Upgrade } from "./upgrade.ts";

/** Of one connection at a time. As in nginx. */
export const http2StreamsMax = 128;
/** Streams that a client may cancel before their answer: at once, and for each answer it took. */
export const cancelledBurstMax = 200;

export interface AppServerOptions {
  readonly protocols: readonly AppProtocol[];
  readonly fetch: AppFetch;
  readonly limits: Pick<HttpLimits, "headBytesMax">;
  /** A connection that asks for another protocol (WebSocket) in HTTP/1.1, with the bytes after its head. */
  onUpgrade(upgrade: Upgrade): void;
}

/** What this has of one connection. */
interface Served {
  readonly client: ProxySource | undefined;
  requests: number;
  isLast: boolean;
  readonly onRequests: (count: number) => void;
}

export class NodeAppServer implements AppServer {
  readonly protocols: readonly AppProtocol[];
  readonly #http1: Server;
  readonly #http2: Http2Server;
  /** By the address and port of the other side: a request's socket is not the one that was passed on. */
  readonly #served = new Map<string, Served>();
  readonly #sessions = new WeakMap<Http2Session, Served>();

  readonly #fetch: AppFetch;

  constructor({ protocols, fetch, limits, onUpgrade }: AppServerOptions) {
    this.protocols = protocols;
    this.#fetch = fetch;
    this.#http1 = createServer(
      { maxHeaderSize: limits.headBytesMax, keepAliveTimeout: 0, requestTimeout: 0, noDelay: true },
      (incoming, outgoing) => this.#begin(this.#served.get(nameOf(incoming.socket)), { incoming, outgoing }),
    );
    this.#http1.on("upgrade", (request, socket, rest) => {
      // Until it ends; its limits are those of the in-memory connection.
      const served = this.#served.get(nameOf(request.socket));
      if (served !== undefined) served.onRequests(++served.requests);
      onUpgrade({ request, socket, rest, client: served?.client });
    });
    this.#http2 = createHttp2Server(
      {
        settings: { maxConcurrentStreams: http2StreamsMax, enablePush: false, maxHeaderListSize: limits.headBytesMax },
      },
      (incoming, outgoing) => {
        const { session } = incoming.stream;
        this.#begin(session === undefined ? undefined : this.#sessions.get(session), { incoming, outgoing });
      },
    );
    // Of one connection, which has ended; what a client has broken is no fault of this process.
    this.#http2.on("sessionError", () => undefined);
  }

  serve({ socket, protocol, client }: AppStream, onRequests: (count: number) => void): AppSession {
    const served: Served = { client, requests: 0, isLast: false, onRequests };
    socket.on("error", () => undefined); // `close` follows
    return protocol === "h2" ? this.#serveHttp2(socket, served) : this.#serveHttp1(socket, served);
  }

  #serveHttp1(socket: Socket, served: Served): AppSession {
    const name = nameOf(socket);
    this.#served.set(name, served);
    socket.once("close", () => {
      if (this.#served.get(name) === served) this.#served.delete(name);
    });
    this.#http1.emit("connection", socket);
    return {
      drain: () => {
        served.isLast = true;
        if (served.requests === 0) socket.end();
      },
    };
  }

  #serveHttp2(socket: Socket, served: Served): AppSession {
    let session: ServerHttp2Session | undefined;
    const take = (made: ServerHttp2Session): void => void (session = made);
    this.#http2.once("session", take);
    this.#http2.emit("connection", socket);
    this.#http2.removeListener("session", take);
    if (session === undefined) {
      socket.destroy();
      return { drain: () => undefined };
    }
    const made = session;
    this.#sessions.set(made, served);
    made.on("error", () => undefined); // `close` follows
    made.once("close", () => void socket.destroySoon());
    // There is no half-open connection in HTTP/2; the listener's sockets allow it.
    socket.once("end", () => void socket.end());
    boundCancellations(made, socket);
    return {
      drain: () => {
        served.isLast = true;
        if (!made.closed && !made.destroyed) made.close();
      },
    };
  }

  #begin(served: Served | undefined, { incoming, outgoing }: NodeMessages): void {
    const messages = { incoming, outgoing, client: served?.client };
    if (served === undefined) {
      // Its connection has ended meanwhile.
      abortAnswer(messages);
      return;
    }
    served.onRequests(++served.requests);
    if (served.isLast && "shouldKeepAlive" in outgoing) outgoing.shouldKeepAlive = false;
    whenClosed(messages, () => served.onRequests(--served.requests));
    answerBy(this.#fetch, messages).catch((error: unknown) => {
      abortAnswer(messages);
      queueMicrotask(() => {
        throw error;
      });
    });
  }
}

/** A stream that ends by the client's RST_STREAM spends one; one that is answered gives one back. */
function boundCancellations(session: ServerHttp2Session, socket: Socket): void {
  let left = cancelledBurstMax;
  session.on("stream", (stream) =>
    stream.once("close", () => {
      const isCancelled = stream.rstCode === constants.NGHTTP2_CANCEL || stream.aborted;
      left = Math.min(cancelledBurstMax, left + (isCancelled ? -1 : 1));
      if (left >= 0 || session.destroyed) return;
      session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      socket.destroySoon();
    }),
  );
}

const nameOf = ({ remoteAddress = "", remotePort = 0 }: Socket): string => `${remoteAddress} ${remotePort}`;
