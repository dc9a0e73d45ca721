/**
 * Tells the upstream who the client is: `X-Forwarded-For/-Proto/-Host` and `Forwarded` (RFC 7239).
 *
 * What a client says about itself is dropped; only a trusted proxy's fields are kept and extended. So the last address of
 * the list is always the one that this server saw, and a list without trusted proxies has exactly one address.
 */
import type { Exchange, RequestHead } from "./exchange.ts";
import type { HeaderList } from "./headers.ts";
import { HeaderList as Headers } from "./headers.ts";
import { plainAddress, TrustedProxies } from "./trusted-proxies.ts";

export interface ForwardedOptions {
  /** Addresses and CIDR ranges of proxies in front of this server. Default: none. */
  readonly trustedProxies?: readonly string[];
}

type Edit = (head: RequestHead, exchange: Exchange) => RequestHead;

/** Use the result as `editRequestHead`. Throws a RangeError for an entry that is not an address or range. */
export function forwardedFields(options: ForwardedOptions = {}): Edit {
  const trusted = new TrustedProxies(options.trustedProxies ?? []);
  return function addForwardedFields(head, exchange) {
    const address = plainAddress(exchange.remoteAddress);
    const isTrusted = trusted.has(address);
    const before = isTrusted ? clientFields(head.headers) : undefined;
    const given = head.headers.flat;
    const flat: string[] = [];
    for (let i = 0; i < given.length; i += 2) {
      const name = given[i] as string;
      if (!isForwardedField(name)) flat.push(name, given[i + 1] as string);
    }
    const proto = before?.proto ?? (exchange.secure ? "https" : "http");
    const hostField = head.headers.get("host");
    const host = before?.host ?? hostField;
    flat.push("X-Forwarded-For", before?.for === undefined ? address : `${before.for}, ${address}`, "X-Forwarded-Proto", proto);
    if (host !== undefined) flat.push("X-Forwarded-Host", host);
    const element = forwardedElement(address, exchange.secure ? "https" : "http", hostField);
    flat.push("Forwarded", before?.forwarded === undefined ? element : `${before.forwarded}, ${element}`);
    return { ...head, headers: new Headers(flat) };
  };
}

interface ClientFields {
  readonly for: string | undefined;
  readonly proto: string | undefined;
  readonly host: string | undefined;
  readonly forwarded: string | undefined;
}

/** What the trusted proxy said. Lists are joined in their order (RFC 9110, 5.3). */
function clientFields(headers: HeaderList): ClientFields {
  const joined = (name: string): string | undefined => {
    const values = headers.getAll(name).filter((value) => value !== "");
    return values.length === 0 ? undefined : values.join(", ");
  };
  return { for: joined("x-forwarded-for"), proto: headers.get("x-forwarded-proto"), host: headers.get("x-forwarded-host"), forwarded: joined("forwarded") };
}

function isForwardedField(name: string): boolean {
  switch (name.length) {
    case 9:
      return name.toLowerCase() === "forwarded" || name.toLowerCase() === "x-real-ip";
    case 15:
    case 16:
    case 17: {
      const lower = name.toLowerCase();
      return lower === "x-forwarded-for" || lower === "x-forwarded-host" || lower === "x-forwarded-proto";
    }
    default:
      return false;
  }
}

/** RFC 7239, 4: IPv6 addresses and hosts with a port are quoted; a Host has been checked and contains no quotation mark. */
function forwardedElement(address: string, proto: string, host: string | undefined): string {
  const node = address.includes(":") ? `"[${address}]"` : address;
  return `for=${node};proto=${proto}${host === undefined ? "" : `;host="${host}"`}`;
}
