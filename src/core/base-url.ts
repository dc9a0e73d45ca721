/**
 * The addresses at which processes of a cluster reach each other: `http://host:port`, and nothing that would be ignored
 * or that no part of the program speaks. One schema for all of them: configuration, flags, calls, reports of hosts, and
 * rows that came from other gateways or from an earlier version's database.
 *
 * `https:` is not accepted, because no client of these addresses speaks it; nor are credentials, which would be sent to
 * the host that is named behind them.
 */

export const baseUrlAccepted = 'http://host:port without a path, for example "http://10.0.0.1:7701"';

/** A host name of 253 characters and a port. */
const baseUrlLengthMax = 300;
/** Visible ASCII; what the parser would strip, decode or repair is not accepted. */
const plainAuthority = /^http:\/\/[^\s\\/?#@%]+\/?$/i;
const visibleAscii = /^[!-~]+$/;

/** Returns the URL with its port and without a slash at the end; undefined: not accepted. */
export function parseBaseUrl(text: string): string | undefined {
  if (text.length > baseUrlLengthMax || !visibleAscii.test(text) || !plainAuthority.test(text)) return undefined;
  const url = URL.parse(text);
  if (url === null || url.hostname === "" || url.port === "0" || isNowhere(url.hostname)) return undefined;
  return `http://${url.hostname}:${url.port === "" ? "80" : url.port}`;
}

/** `0.0.0.0` and `::` are addresses to listen on, and no destinations. */
const isNowhere = (hostname: string): boolean => hostname === "0.0.0.0" || hostname === "[::]";

export const isBaseUrl = (text: string): boolean => parseBaseUrl(text) !== undefined;

/** Begins the control address of an ordinary HTTP server: `plain:`, a base URL, and the target of its health check. */
export const plainPrefix = "plain:";
const plainAddress = /^plain:(http:\/\/[^/]*)(\/[!-"$-~]*)$/i;

/** Control address of a registered host: of a control API, or of a plain host. */
export function isHostAddress(text: string): boolean {
  if (!text.startsWith(plainPrefix)) return isBaseUrl(text);
  const [, base = ""] = text.length <= hostAddressLengthMax ? (plainAddress.exec(text) ?? []) : [];
  return isBaseUrl(base);
}
const hostAddressLengthMax = 4_096;

export const hostAddressAccepted = `${baseUrlAccepted}; of an ordinary HTTP server plain:http://host:port/path`;
