/**
 * The keyring: a vault's keys, in the vault, readable only with the cluster's secret.
 *
 *     keys/<number>     the keyring; the largest number applies
 *
 * Keys are random and stay; what opens them may change. A keyring has the same content once for each secret that opens
 * it, encrypted with AES-256-GCM under a key that HKDF-SHA256 derives from that secret and the vault's id. While a
 * secret is rotated, the keyring opens with both, and no host need restart for it (`stead vault rekey`). The number of
 * the keyring and the vault's id are authenticated with it. A nonce is random, and each derived key encrypts a handful
 * of keyrings in its life.
 *
 * Each change is one immutable object under the next number. A keyring that does not open is refused, and no older one
 * is taken in its place.
 *
 * What it does not protect from: the removal of the newest keyring makes the one before apply, which has the same keys,
 * and opens with an older secret for those who have that one. The removal of all makes the vault look like one without
 * keys: a host remembers that its vault has them (host/machine/known-keys.ts).
 */
import crypto from "node:crypto";
import * as v from "valibot";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { deriveKey } from "../../runtime/mac.ts";
import { type Random, systemRandom } from "../../runtime/random.ts";
import { KeyringError } from "../errors.ts";
import { keyringKey, keyringPrefix, positionOfKey } from "../keys.ts";
import { smallObjectBytesMax } from "../limits.ts";
import type { VaultIdentity } from "./identity.ts";
import type { Store } from "./store.ts";
import { dataKeyBytes, keyNumberMax, type DataKey, type OpenUpTo, VaultKeys } from "./vault-keys.ts";

const format = "stead-keys";
const version = 1;
const nonceBytes = 12;
const tagBytes = 16;

const hex = v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{2})+$/));
const ringSchema = v.object({
  format: v.literal(format),
  version: v.literal(version),
  createdMs: v.number(),
  /** Each: the nonce, the encrypted content, the tag. */
  sealed: v.pipe(v.array(hex), v.minLength(1), v.maxLength(16)),
});
const number = v.pipe(v.number(), v.safeInteger());
const contentSchema = v.object({
  keys: v.pipe(
    v.array(
      v.object({
        number: v.pipe(number, v.minValue(1), v.maxValue(keyNumberMax)),
        key: v.pipe(hex, v.length(2 * dataKeyBytes)),
      }),
    ),
    v.minLength(1),
  ),
  open: v.record(v.string(), number),
});

/** A keyring that was opened. */
export interface OpenedKeyring {
  readonly number: number;
  readonly content: KeyringContent;
}

interface KeyringContent {
  readonly keys: readonly DataKey[];
  readonly open: OpenUpTo;
}

type Vault = Pick<VaultIdentity, "id">;

export interface KeyringPorts {
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Returns the keyring in force; undefined: the vault has none. Throws KeyringError, StrangeObjectError, StoreError. */
export async function readKeyring(
  store: Store,
  vault: Vault,
  secrets: readonly string[],
): Promise<OpenedKeyring | undefined> {
  const number = Math.max(0, ...(await store.list(keyringPrefix)).map((key) => positionOfKey(keyringPrefix, key) ?? 0));
  if (number === 0) return undefined;
  const bytes = await store.get(keyringKey(number), smallObjectBytesMax);
  if (bytes === undefined) throw new KeyringError(`${keyringKey(number)} is gone`, "the keyring", "Look again.");
  const ring = v.safeParse(ringSchema, parseJson(bytes));
  if (!ring.success)
    throw new KeyringError(`${keyringKey(number)} is no keyring`, "what stead wrote", "Put it back from a backup.");
  if (secrets.length === 0)
    throw new KeyringError(
      `the vault ${store.url} has keys, and no secret was given to open them`,
      "the cluster's secret",
      "Name the configuration with --config, or give the secret with --secret-file or in STEAD_SECRET.",
    );
  for (const secret of secrets)
    for (const sealed of ring.output.sealed) {
      const content = open(sealed, secret, vault, number);
      if (content !== undefined) return { number, content };
    }
  throw new KeyringError(
    `${keyringKey(number)} of the vault ${store.url} does not open with this secret`,
    "the secret of the cluster that made it, or the one before",
    "Correct the secret. If it was changed, run `stead vault rekey` with the former one in --former-secret-file.",
  );
}

export const keysOf = (vault: Vault, { content }: OpenedKeyring): VaultKeys =>
  new VaultKeys(vault.id, content.keys, content.open);

/** Returns the vault's keys; undefined: it has none. Throws as `readKeyring`. */
export async function readKeys(store: Store, vault: Vault, secrets: readonly string[]): Promise<VaultKeys | undefined> {
  const ring = await readKeyring(store, vault, secrets);
  return ring === undefined ? undefined : keysOf(vault, ring);
}

/**
 * Gives a vault without keys its first one, and returns the keyring that applies: another process may have been first.
 * `openUpTo`: what is there already.
 */
export async function createKeyring(
  store: Store,
  vault: Vault,
  secrets: readonly string[],
  openUpTo: OpenUpTo = {},
  ports: KeyringPorts = {},
): Promise<OpenedKeyring | undefined> {
  const bytes = (ports.random ?? systemRandom).bytes(dataKeyBytes);
  await put(store, vault, secrets, { number: 1, content: { keys: [{ number: 1, bytes }], open: openUpTo } }, ports);
  return readKeyring(store, vault, secrets);
}

/** Lets the keyring open with these secrets and no others. Returns false if another process has changed it. */
export async function sealAgain(
  store: Store,
  vault: Vault,
  secrets: readonly string[],
  { number: before, content }: OpenedKeyring,
  ports: KeyringPorts = {},
): Promise<boolean> {
  return put(store, vault, secrets, { number: before + 1, content }, ports);
}

async function put(
  store: Store,
  vault: Vault,
  secrets: readonly string[],
  ring: OpenedKeyring,
  { clock = systemClock, random = systemRandom }: KeyringPorts,
): Promise<boolean> {
  const sealed = secrets.map((secret) => seal(ring, secret, vault, random.bytes(nonceBytes)));
  const text = JSON.stringify({ format, version, createdMs: clock.wallTime(), sealed }, null, 2);
  return (await store.putIfAbsent(keyringKey(ring.number), Buffer.from(`${text}\n`))).kind === "created";
}

const cipher = "aes-256-gcm";
const wrappingKey = (secret: string, { id }: Vault): Uint8Array =>
  deriveKey(Buffer.from(secret), id, "stead vault keys");
const boundTo = ({ id }: Vault, number: number): Buffer => Buffer.from(`${format} ${version} ${id} ${number}`);

function seal({ number, content }: OpenedKeyring, secret: string, vault: Vault, nonce: Uint8Array): string {
  const keys = content.keys.map((key) => ({ number: key.number, key: Buffer.from(key.bytes).toString("hex") }));
  const encryption = crypto.createCipheriv(cipher, wrappingKey(secret, vault), nonce).setAAD(boundTo(vault, number));
  const encrypted = [encryption.update(JSON.stringify({ keys, open: content.open }), "utf8"), encryption.final()];
  return Buffer.concat([nonce, ...encrypted, encryption.getAuthTag()]).toString("hex");
}

/** Undefined: it is of another secret, vault or number, or was changed. */
function open(sealed: string, secret: string, vault: Vault, number: number): KeyringContent | undefined {
  const bytes = Buffer.from(sealed, "hex");
  if (bytes.length <= nonceBytes + tagBytes) return undefined;
  const decryption = crypto
    .createDecipheriv(cipher, wrappingKey(secret, vault), bytes.subarray(0, nonceBytes))
    .setAAD(boundTo(vault, number))
    .setAuthTag(bytes.subarray(bytes.length - tagBytes));
  let text: Buffer;
  try {
    text = Buffer.concat([decryption.update(bytes.subarray(nonceBytes, -tagBytes)), decryption.final()]);
  } catch {
    return undefined;
  }
  const { keys, open: openUpTo } = v.parse(contentSchema, parseJson(text));
  return { keys: keys.map((key) => ({ number: key.number, bytes: Buffer.from(key.key, "hex") })), open: openUpTo };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
