/**
 * The keys that a process derives from the cluster's secrets: HKDF-SHA256 (RFC 5869) with the cluster's name as salt
 * and one label per use, so that a request is never an answer, and a key of one cluster none of another. Usually there
 * is one secret; while it is replaced there are two, and the first is tried first.
 */
import { hkdfSync } from "node:crypto";

export interface Key {
  /** Tells which of several secrets was used; reveals nothing of it. */
  readonly id: string;
  readonly request: Buffer;
  readonly answer: Buffer;
}

export const clusterNameDefault = "stead";

export class Keyring {
  readonly cluster: string;
  #keys: readonly Key[];

  constructor(secrets: readonly string[], cluster: string = clusterNameDefault) {
    this.cluster = cluster;
    this.#keys = secrets.map((secret) => keyOf(secret, cluster));
  }

  /** The preferred one first. Another array after `replace`. */
  get keys(): readonly Key[] {
    return this.#keys;
  }

  find(id: string): Key | undefined {
    return this.#keys.find((key) => key.id === id);
  }

  /** Takes these secrets in place of the present ones. */
  replace(secrets: readonly string[]): void {
    this.#keys = secrets.map((secret) => keyOf(secret, this.cluster));
  }
}

function keyOf(secret: string, cluster: string): Key {
  const derive = (label: string, bytes: number): Buffer =>
    Buffer.from(hkdfSync("sha256", secret, `stead cluster ${cluster}`, `stead channel 1: ${label}`, bytes));
  return {
    id: derive("key id", 9).toString("base64url"),
    request: derive("request", 32),
    answer: derive("answer", 32),
  };
}
