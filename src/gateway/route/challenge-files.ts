/**
 * Answers to the challenges of a certificate authority (RFC 8555, 8.3; RFC 8737), as files in the folder of
 * [gateway.tls.acme]: the process that orders writes them, each process that serves clients reads the one that it is
 * asked for. So they need no way of their own to workers, nor to the process of an upgrade.
 *
 * They are no secrets: the authority asks for them in the open.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { AcmeConfig } from "../../config/acme-config.ts";
import type { Exchange, LocalReply } from "../../http/upstream/exchange.ts";

const pathPrefix = "/.well-known/acme-challenge/";

export const challengeFolder = (folder: string): string => join(folder, "challenges");

/** `key`: the token of http-01, the name of tls-alpn-01. Undefined: there can be no such file. */
export function challengePath(folder: string, kind: AcmeConfig["challenge"], key: string): string | undefined {
  const isKey = kind === "http-01" ? /^[\w-]{1,128}$/ : /^[a-z0-9][a-z0-9.-]{0,252}$/;
  return isKey.test(key) ? join(challengeFolder(folder), `${kind} ${key}`) : undefined;
}

/** Returns the answer to a request of http-01; undefined: it is another request, or nothing is known of its token. */
export function challengeReply(
  config: AcmeConfig,
  { method, target }: Pick<Exchange["request"], "method" | "target">,
): LocalReply | undefined {
  if (!target.startsWith(pathPrefix) || (method !== "GET" && method !== "HEAD")) return undefined;
  const body = answerTo(config.folder, "http-01", target.slice(pathPrefix.length));
  return body === undefined
    ? undefined
    : { status: 200, headers: [["Content-Type", "application/octet-stream"]], body };
}

/** Returns what tls-alpn-01 is to show for a name; undefined: nothing is asked. */
export const keyAuthorizationOf = ({ folder }: AcmeConfig, domain: string): string | undefined =>
  answerTo(folder, "tls-alpn-01", domain.toLowerCase());

function answerTo(folder: string, kind: AcmeConfig["challenge"], key: string): string | undefined {
  const path = challengePath(folder, kind, key);
  // Most are asked for by strangers, and are not there: that is no exception.
  if (path === undefined || !existsSync(path)) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // removed in between
  }
}

/** Whether any challenge is open, for all names. */
export function hasChallenges({ folder }: AcmeConfig): boolean {
  try {
    return readdirSync(challengeFolder(folder)).length > 0;
  } catch {
    return false;
  }
}
