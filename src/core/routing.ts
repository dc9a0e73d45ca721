/**
 * Finds the service of a request by host name and path prefix; the most specific match wins.
 *
 * A service that names the host beats one that does not; among those the longest path prefix wins. A prefix matches
 * whole segments: `/app` matches `/app` and `/app/x` and `/app?x`, not `/apple`. The path is compared byte by byte as
 * received: guessing how an upstream interprets `%2e` or `//` would allow request smuggling.
 */
export interface ServiceMatch {
  /** Lower case, without a port; undefined: any. */
  readonly host?: string | undefined;
  /** Begins with `/`; undefined: any. */
  readonly path?: string | undefined;
}

export interface Matchable {
  readonly name: string;
  readonly match: ServiceMatch;
}

/** Finds the service for a Host field's value (with or without a port) and a request target in any form. */
export type ServiceMatcher<S> = (hostField: string, target: string) => S | undefined;

/** Prepares a matcher once, because it runs for every request. */
export function serviceMatcher<S extends Matchable>(services: readonly S[]): ServiceMatcher<S> {
  const ordered = services
    .map((service) => ({ service, host: service.match.host, prefix: normalizedPrefix(service.match.path) }))
    .sort((a, b) => Number(a.host === undefined) - Number(b.host === undefined) || b.prefix.length - a.prefix.length);
  const [first] = ordered;
  if (first !== undefined && first.host === undefined && first.prefix === "") return () => first.service;
  return (hostField, target) => {
    const host = hostName(hostField);
    const path = originPath(target);
    return ordered.find((entry) => (entry.host === undefined || entry.host === host) && hasPrefix(path, entry.prefix))
      ?.service;
  };
}

/** Returns the limit of the longest prefix that matches the target's path; undefined: none. */
export function firstByteMsOf(
  times: readonly { readonly path: string; readonly timeMs: number }[] | undefined,
  target: string,
): number | undefined {
  if (times === undefined || times.length === 0) return undefined;
  const path = originPath(target);
  let found: { readonly prefix: string; readonly timeMs: number } | undefined;
  for (const time of times) {
    const prefix = normalizedPrefix(time.path);
    if (hasPrefix(path, prefix) && prefix.length >= (found?.prefix.length ?? 0))
      found = { prefix, timeMs: time.timeMs };
  }
  return found?.timeMs;
}

function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  const next = path.charAt(prefix.length);
  return next === "" || next === "/" || next === "?";
}

/** Removes the slash at the end: `/` and undefined become the empty prefix, which matches everything. */
const normalizedPrefix = (path: string | undefined): string => (path === undefined ? "" : path.replace(/\/+$/, ""));

function hostName(field: string): string {
  const lower = field.toLowerCase();
  if (lower.startsWith("[")) return lower.slice(1, Math.max(1, lower.indexOf("]")));
  const colon = lower.indexOf(":");
  return colon === -1 ? lower : lower.slice(0, colon);
}

/** Returns the path of a target in origin form (`/x`) or absolute form (`http://host/x`, RFC 9112 section 3.2.2). */
function originPath(target: string): string {
  if (target.startsWith("/")) return target;
  const scheme = target.indexOf("://");
  if (scheme === -1) return "/";
  const slash = target.indexOf("/", scheme + 3);
  return slash === -1 ? "/" : target.slice(slash);
}
