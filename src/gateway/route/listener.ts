/**
 * The gateway's client side: the listener with its certificates, trusted proxies, fields added to requests, and the
 * access log. src/http/proxy/proxy.ts handles the requests of a service.
 */
import type { Exchange, ForwardOptions, Handling } from "../../http/upstream/exchange.ts";
import { forwardedFields } from "../../http/proxy/forwarded-fields.ts";
import type { HttpLimits } from "../../http/limits.ts";
import { withoutSteadFields } from "../../http/message/stead-fields.ts";
import { requestIdFields } from "../../http/server/request-id.ts";
import { fittingConnections } from "../../http/server/descriptor-room.ts";
import type { AlpnChallenges } from "../../http/server/alpn-challenge.ts";
import type { AppProtocol } from "../../http/server/app-connection.ts";
import { redirectToHttps } from "../../http/server/redirect.ts";
import type { TlsCertificates } from "../../http/server/server-tls.ts";
import type { BodySpool } from "../../http/spool/body-spool.ts";
import { type FurtherEntrance, HttpServer, type CloseOptions } from "../../http/server/server.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { BoundedLog } from "../../runtime/bounded-log.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { systemRandom } from "../../runtime/random.ts";
import { AccessLogFile } from "./access-log-file.ts";
import { CrowdWatch } from "./crowd-watch.ts";
import { CertificateWatch, fingerprint, readCertificates } from "./certificate-files.ts";
import { challengeReply, hasChallenges, keyAuthorizationOf } from "./challenge-files.ts";
import { challengeCertificate } from "./self-signed.ts";
import { proxyAppServer } from "./proxy-app.ts";
import type { AcmeConfig } from "../../config/acme-config.ts";
import type { GatewayConfig, ServiceConfig } from "../../config/types.ts";

/** The settings that a data plane needs. */
export interface DataPlaneSettings
  extends Pick<
    GatewayConfig,
    | "id"
    | "cluster"
    | "listen"
    | "limits"
    | "hold"
    | "dataPlane"
    | "replayAgainMax"
    | "replayWrites"
    | "replaySpool"
    | "answerWholeBytesMax"
    | "clientHalfClose"
  > {
  readonly services: readonly Pick<
    ServiceConfig,
    "name" | "match" | "firstByte" | "maintenance" | "isKeyed" | "replayWrites"
  >[];
}

export interface ListenerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** For messages that clients can cause without limit. */
  readonly refusals: BoundedLog;
  readonly spool?: BodySpool | undefined;
  /** Listening sockets that this process has inherited: of `listen`, then of the listeners beside it. */
  readonly descriptors?: readonly number[] | undefined;
  onExchange(exchange: Exchange): Handling;
}

export class Listener {
  readonly server: HttpServer;
  readonly #accessLog: AccessLogFile | undefined;
  readonly #certificates: CertificateWatch | undefined;
  readonly #crowd: CrowdWatch;

  /** Throws `ListenError`, `CertificateError`, or the system's error when the access log cannot be opened. */
  static async listen(config: DataPlaneSettings, deps: ListenerDeps): Promise<Listener> {
    const { clock, log, refusals, metrics } = deps;
    const { tls, proxyProtocolFrom, trustedProxies, accessLog } = config.dataPlane;
    const protocols = appProtocols(config.dataPlane);
    const limits = { ...httpLimitsOf(config), connectionsMax: fittingConnections(config.limits.connectionsMax) };
    const crowd = new CrowdWatch(clock, refusals, { ...config.limits, connectionsMax: limits.connectionsMax });
    const seen = tls === undefined ? "" : fingerprint(tls);
    const certificates = tls === undefined ? undefined : readCertificates(tls);
    const lines =
      accessLog.target.kind === "off" ? undefined : new AccessLogFile(accessLog.target, accessLog.format, clock);
    const server = await HttpServer.listen({
      host: config.listen.host,
      port: config.listen.port,
      descriptor: deps.descriptors?.[0],
      limits,
      spool: deps.spool,
      clock,
      proxies: trustedProxies,
      halfClose: config.clientHalfClose,
      counts: {
        accepted: metrics.counter("stead_connections_accepted_total", {}),
        refused: metrics.counter("stead_connections_refused_total", {}),
        displaced: metrics.counter("stead_connections_displaced_total", {}),
      },
      onCrowd: (bound, address, closed) => crowd.add(bound, address, closed),
      onExchange: answeringChallenges(tls?.acme, (exchange) => deps.onExchange(exchange)),
      challenges: tls?.acme?.challenge === "tls-alpn-01" ? challengesIn(tls.acme, clock) : undefined,
      onProtocolError: ({ status, code, message }, client) =>
        refusals.warn("request refused", { client, status, code, why: message }),
      ...(certificates === undefined ? {} : { tls: certificates }),
      further: furtherEntrances(config, certificates, deps.descriptors),
      app: protocols.length === 0 ? undefined : (own) => proxyAppServer(own, protocols),
      ...(proxyProtocolFrom.length === 0 ? {} : { proxyProtocolFrom }),
      ...(lines === undefined ? {} : { onAccess: (entry) => lines.add(entry) }),
    });
    const watch =
      tls === undefined || certificates === undefined
        ? undefined
        : new CertificateWatch(
            tls,
            { used: certificates, seen },
            { clock, log, replace: (fresh) => server.replaceCertificates(fresh) },
          );
    return new Listener(server, lines, watch, crowd);
  }

  private constructor(
    server: HttpServer,
    accessLog: AccessLogFile | undefined,
    certificates: CertificateWatch | undefined,
    crowd: CrowdWatch,
  ) {
    this.server = server;
    this.#accessLog = accessLog;
    this.#certificates = certificates;
    this.#crowd = crowd;
  }

  /** Warnings for the operator, one sentence each. */
  get warnings(): string[] {
    return [this.#accessLog?.warning, ...(this.#certificates?.warnings ?? []), ...this.#crowd.warnings].filter(
      (warning) => typeof warning === "string",
    );
  }

  async close(options: CloseOptions): Promise<void> {
    this.#certificates?.close();
    await this.server.close(options);
    await this.#accessLog?.close();
  }
}

/** What the Hono app serves: HTTP/2 in any case, HTTP/1.1 if it is to. */
const appProtocols = ({ app, http2 }: DataPlaneSettings["dataPlane"]): readonly AppProtocol[] => [
  ...(http2 ? (["h2"] as const) : []),
  ...(app ? (["http/1.1"] as const) : []),
];

function furtherEntrances(
  { dataPlane }: DataPlaneSettings,
  certificates: TlsCertificates | undefined,
  descriptors: readonly number[] | undefined,
): FurtherEntrance[] {
  return dataPlane.listeners.map(({ address, serve }, index) => ({
    ...{ ...address, descriptor: descriptors?.[index + 1] },
    ...(serve.kind === "tls" && certificates !== undefined ? { tls: certificates } : {}),
    ...(serve.kind === "redirect"
      ? {
          onExchange: answeringChallenges(dataPlane.tls?.acme, (exchange) =>
            exchange.respond(redirectToHttps(exchange, serve.port)),
          ),
        }
      : {}),
  }));
}

type Answer = (exchange: Exchange) => Handling;

/** Requests of a certificate authority are answered here; all others as by `answer`. */
const answeringChallenges = (acme: AcmeConfig | undefined, answer: Answer): Answer =>
  acme === undefined
    ? answer
    : (exchange) => {
        const reply = challengeReply(acme, exchange.request);
        return reply === undefined ? answer(exchange) : exchange.respond(reply);
      };

const challengesIn = (acme: AcmeConfig, clock: Clock): AlpnChallenges => ({
  areOpen: () => hasChallenges(acme),
  async certificateOf(name) {
    const keyAuthorization = keyAuthorizationOf(acme, name);
    return keyAuthorization === undefined ? undefined : challengeCertificate(name, keyAuthorization, clock.wallTime());
  },
});

/** Options for each request: the client's identity, and a request id. */
export function forwardOptionsOf({ dataPlane }: Pick<DataPlaneSettings, "dataPlane">): ForwardOptions {
  const addClient = forwardedFields(dataPlane);
  const addName = requestIdFields({ traceparent: dataPlane.traceparent, random: systemRandom });
  return {
    editRequestFields: (headers, exchange) => addName(addClient(headers, exchange), exchange),
    // A host strips them; a plain host's application could imitate the gateway's own answers.
    editResponseFields: ({ headers }) => withoutSteadFields(headers),
  };
}

export const httpLimitsOf = ({ limits, hold }: Pick<DataPlaneSettings, "limits" | "hold">): Partial<HttpLimits> => ({
  ...limits,
  keepBodyTotalBytesMax: hold.bytesMax,
});
