/** Parses and formats listen addresses. What they are reached at is in src/core/base-url.ts. */
import { isIP } from "node:net";
import type { Address } from "./types.ts";

export const listenAccepted = 'address and port, for example "127.0.0.1:7700", "0.0.0.0:80", "[::1]:7701"';

/**
 * Returns `undefined` if malformed. Names other than `localhost` are refused: a listen address should not depend on
 * DNS.
 */
export function parseListen(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+|localhost)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return undefined;
  const [, six, fourOrName] = match;
  if (six !== undefined) return isHost(`[${six}]`) ? { host: six, port } : undefined;
  if (fourOrName === undefined) return undefined;
  return fourOrName === "localhost" ||
    (/^(?:\d{1,3}\.){3}\d{1,3}$/.test(fourOrName) && fourOrName.split(".").every((part) => Number(part) <= 255))
    ? { host: fourOrName, port }
    : undefined;
}

/** Returns `http://127.0.0.1:7700`, with brackets around an IPv6 address. */
export function urlOf(address: Address): string {
  return `http://${formatAddress(address)}`;
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True for `0.0.0.0` and `::`, which are no destinations. */
export function isWildcard({ host }: Address): boolean {
  return host === "0.0.0.0" || (isHost(`[${host}]`) && new URL(`http://[${host}]`).hostname === "[::]");
}

/** True if one machine cannot bind both. */
export function collide(a: Address, b: Address): boolean {
  return a.port !== 0 && a.port === b.port && (a.host === b.host || isWildcard(a) || isWildcard(b));
}

/** A single address, or an address and a number of leading bits after a slash. */
export function isAddressRange(text: string): boolean {
  const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text);
  const family = isIP(match?.[1] ?? "");
  return family !== 0 && Number(match?.[2] ?? 0) <= (family === 4 ? 32 : 128);
}

const isHost = (host: string): boolean => URL.canParse(`http://${host}`);
