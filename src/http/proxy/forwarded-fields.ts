/**
 * Tells the upstream the client's identity: `X-Forwarded-For/-Proto/-Host` and `Forwarded` (RFC 7239).
 *
 * A client's own values are dropped; only a trusted proxy's fields are kept and extended. The last address of the list
 * is therefore always the one that this server saw, and without trusted proxies the list has exactly one address. What
 * an application would take for one of these fields, or for another field that is added or read here, is dropped from
 * every sender: `X_Forwarded_For` is the same variable as `X-Forwarded-For` in CGI and WSGI. Names with underscores are
 * dropped altogether, as nginx does, unless the operator keeps them.
 */
import type { EditRequestFields, Exchange } from "../upstream/exchange.ts";
import type { HeaderList } from "../message/headers.ts";
import { CLAIM, FORWARDED, fieldSet, imitatesKnownField, knownField, ODD } from "../message/known-fields.ts";
import { plainAddress, TrustedProxies } from "../server/trusted-proxies.ts";

export interface ForwardedOptions {
  /** Addresses and CIDR ranges of proxies in front of this server. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** What happens to other fields with an underscore in their name. Default: `drop`. */
  readonly underscoreFields?: "drop" | "keep";
}

const set = fieldSet(FORWARDED);
const doubtful = fieldSet(FORWARDED, CLAIM, ODD);

/** Use the result as `editRequestFields`. Throws a RangeError for an entry that is not an address or range. */
export function forwardedFields(options: ForwardedOptions = {}): EditRequestFields {
  const { underscoreFields = "drop" } = options;
  const trusted = new TrustedProxies(options.trustedProxies ?? []);
  /**
   * The lines added to the last request of a client connection, with its Host: the next request usually gets the same.
   */
  const last = new WeakMap<object, { readonly host: string | undefined; readonly lines: string }>();
  return function addForwardedFields(headers, exchange) {
    const isDoubtful = headers.mayHave(doubtful);
    if (!isDoubtful) {
      const known = last.get(exchange.client);
      if (known !== undefined && headers.hostIs(known.host)) return headers.withLines(known.lines, set);
    }
    const host = headers.get("host");
    const address = plainAddress(exchange.remoteAddress);
    const isTrusted = isDoubtful && trusted.has(address);
    const before = isTrusted && headers.mayHave(set) ? clientFields(headers) : undefined;
    const clean = isDoubtful ? headers.without((name) => mustDrop(name, isTrusted, underscoreFields)) : headers;
    const lines = linesOf(address, exchange, host, before);
    if (before === undefined) last.set(exchange.client, { host, lines });
    return clean.withLines(lines, set);
  };
}

function mustDrop(name: string, isTrusted: boolean, underscoreFields: "drop" | "keep"): boolean {
  const field = knownField(name);
  if (field === FORWARDED || (field === CLAIM && !isTrusted)) return true;
  return (underscoreFields === "drop" && name.includes("_")) || imitatesKnownField(name);
}

function linesOf(
  address: string,
  { isSecure: secure }: Exchange,
  hostField: string | undefined,
  before: ClientFields | undefined,
): string {
  const ownProto = secure ? "https" : "http";
  const host = before?.host ?? hostField;
  const addresses = before?.for === undefined ? address : `${before.for}, ${address}`;
  const element = forwardedElement(address, ownProto, hostField);
  let lines = `X-Forwarded-For: ${addresses}\r\nX-Forwarded-Proto: ${before?.proto ?? ownProto}\r\n`;
  if (host !== undefined) lines += `X-Forwarded-Host: ${host}\r\n`;
  return `${lines}Forwarded: ${before?.forwarded === undefined ? element : `${before.forwarded}, ${element}`}\r\n`;
}

interface ClientFields {
  readonly for: string | undefined;
  readonly proto: string | undefined;
  readonly host: string | undefined;
  readonly forwarded: string | undefined;
}

/** Returns the fields of the trusted proxy. Lists are joined in their order (RFC 9110, 5.3). */
function clientFields(headers: HeaderList): ClientFields {
  const joined = (name: string): string | undefined => {
    const values = headers.getAll(name).filter((value) => value !== "");
    return values.length === 0 ? undefined : values.join(", ");
  };
  return {
    for: joined("x-forwarded-for"),
    proto: headers.get("x-forwarded-proto"),
    host: headers.get("x-forwarded-host"),
    forwarded: joined("forwarded"),
  };
}

/**
 * RFC 7239, 4: IPv6 addresses and hosts with a port are quoted; a Host has been checked and contains no quotation mark.
 */
function forwardedElement(address: string, proto: string, host: string | undefined): string {
  const node = address.includes(":") ? `"[${address}]"` : address;
  return `for=${node};proto=${proto}${host === undefined ? "" : `;host="${host}"`}`;
}
