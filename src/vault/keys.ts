/**
 * The keys of the vault.
 *
 *     identity.json                        the vault's service and id
 *     copy.json                            in a copy of a vault: of which one; there before anything else is
 *     keys/<number>                        the vault's keys, encrypted; the largest number applies (keyring.ts)
 *     checkpoints/<position>               manifests
 *     chunks/<position>/<name>             pieces of databases and files, under the position of the checkpoint or flush
 *                                          they were written for, named by their content (store/chunk-names.ts)
 *     exclusions/<number>                  databases that operators excluded from capture; the largest number applies
 *     probes/<host>/<run>-<number>         tests whether a host can write; removed at once, never read
 *
 * Only the folder log/ knows the keys of the log. Positions are padded to 16 digits, so that the order of the names is
 * the order of the numbers.
 */
import type { Position } from "./record.ts";

export const identityKey = "identity.json";
export const copyMarkerKey = "copy.json";
export const keyringPrefix = "keys/";
export const checkpointPrefix = "checkpoints/";
export const chunkPrefix = "chunks/";
export const exclusionPrefix = "exclusions/";

/** Prefix for one host: host ids are segments of keys. */
export const probePrefixOf = (host: string): string => `probes/${host}/`;
export const probeKey = (host: string, run: string, number: number): string => `${probePrefixOf(host)}${run}-${number}`;

const positionDigits = 16;
const zeros = "0".repeat(positionDigits);

export function padPosition(position: Position): string {
  if (!Number.isSafeInteger(position) || position < 0) throw new RangeError(`not a position: ${position}`);
  const digits = String(position);
  return zeros.slice(digits.length) + digits;
}

export const keyringKey = (number: number): string => keyringPrefix + padPosition(number);
export const checkpointKey = (position: Position): string => checkpointPrefix + padPosition(position);
export const exclusionKey = (number: number): string => exclusionPrefix + padPosition(number);
export const chunkKey = (position: Position, name: string): string => `${chunkPrefix}${padPosition(position)}/${name}`;

/** Returns the position in a key with the given prefix, or undefined if the key is not one of ours. */
export function positionOfKey(prefix: string, key: string): Position | undefined {
  if (!key.startsWith(prefix)) return undefined;
  const digits = key.slice(prefix.length);
  if (digits.length !== positionDigits || !/^[0-9]+$/.test(digits)) return undefined;
  const position = Number(digits);
  return Number.isSafeInteger(position) ? position : undefined;
}

const chunkKeyShape = /^chunks\/([0-9]{16})\/([0-9a-f]{64})$/;

/** Returns the contents of a chunk's key, or undefined if it is not the key of a chunk. */
export function parseChunkKey(key: string): { readonly position: Position; readonly name: string } | undefined {
  const match = chunkKeyShape.exec(key);
  const position = Number(match?.[1]);
  const name = match?.[2];
  if (name === undefined || !Number.isSafeInteger(position)) return undefined;
  return { position, name };
}
