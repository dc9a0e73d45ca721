/**
 * The keyring: a vault's keys, in the vault, readable only with the cluster's secret, or with a key of its own that the
 * configuration names in place of it (config/vault-key.ts); here both are called secret.
 *
 *     keys/<number>     the keyring; the largest number applies
 *
 * Keys are random and stay; what opens them may change, and later ones may be added. A keyring has the same content
 * once for each secret that opens it, encrypted with AES-256-GCM under a key that HKDF-SHA256 derives from that secret
 * and the vault's id. While a secret is rotated, the keyring opens with both, and no host need restart for it (`stead
 * vault rekey`). The number of the keyring and the vault's id are authenticated with it. A nonce is random, and each
 * derived key encrypts a handful of keyrings in its life.
 *
 * Version 2 has keys that encrypt. A program that knows only version 1 would write without encryption, and opens none.
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
import { KeyringError, quoteFound, UnknownFormatError, WrongSecretError } from "../errors.ts";
import { keyringKey, keyringPrefix, positionOfKey } from "../keys.ts";
import { smallObjectBytesMax } from "../limits.ts";
import type { VaultIdentity } from "./identity.ts";
import type { Store } from "./store.ts";
import { dataKeyBytes, keyNumberMax, type KeyringContent, type UpTo, VaultKeys } from "./vault-keys.ts";

const format = "stead-keys";
const versionOf = ({ keys }: KeyringContent): 1 | 2 => (keys.some(({ encrypts }) => encrypts === true) ? 2 : 1);
const nonceBytes = 12;
const tagBytes = 16;

const hex = v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{2})+$/));
const ringSchema = v.object({
  format: v.literal(format),
  version: v.picklist([1, 2]),
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
        encrypts: v.optional(v.boolean(), false),
      }),
    ),
    v.minLength(1),
  ),
  open: v.record(v.string(), number),
  clear: v.optional(v.record(v.string(), number), {}),
});

/** A keyring that was opened. */
export interface OpenedKeyring {
  readonly number: number;
  /** How many secrets open it. */
  readonly sealedFor: number;
  readonly content: KeyringContent;
}

type Vault = Pick<VaultIdentity, "id">;

export interface KeyringPorts {
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * Returns the keyring in force; undefined: the vault has none. Throws KeyringError, UnknownFormatError,
 * StrangeObjectError, StoreError.
 */
export async function readKeyring(
  store: Store,
  vault: Vault,
  secrets: readonly string[],
): Promise<OpenedKeyring | undefined> {
  const number = Math.max(0, ...(await store.list(keyringPrefix)).map((key) => positionOfKey(keyringPrefix, key) ?? 0));
  if (number === 0) return undefined;
  const bytes = await store.get(keyringKey(number), smallObjectBytesMax);
  if (bytes === undefined) throw new KeyringError(`${keyringKey(number)} is gone`, "the keyring", "Look again.");
  const parsed = parseJson(bytes);
  assertKnownVersion(keyringKey(number), parsed);
  const ring = v.safeParse(ringSchema, parsed);
  if (!ring.success)
    throw new KeyringError(`${keyringKey(number)} is no keyring`, "what stead wrote", "Put it back from a backup.");
  if (secrets.length === 0)
    throw new KeyringError(
      `the vault ${store.url} has keys, and nothing was given to open them`,
      "the cluster's secret, or the vault's key if it has one of its own",
      "Name the configuration with --config, or give the secret with --secret-file or in STEAD_SECRET, a key with --vault-key-file or in STEAD_VAULT_KEY.",
    );
  for (const secret of secrets)
    for (const sealed of ring.output.sealed) {
      const content = open(sealed, secret, { vault, number, version: ring.output.version });
      if (content !== undefined) return { number, content, sealedFor: ring.output.sealed.length };
    }
  throw new WrongSecretError(
    `${keyringKey(number)} of the vault ${store.url} does not open with what was given`,
    "Correct it. If it was changed, run `stead vault rekey` with the former one in --former-secret-file.",
  );
}

export const keysOf = (vault: Vault, { content }: OpenedKeyring): VaultKeys => new VaultKeys(vault.id, content);

/**
 * Returns the vault's keys, which follow the keyring; undefined: it has none. Throws as `readKeyring`. `secrets`: those
 * that are valid whenever it is read.
 */
export async function readKeys(
  store: Store,
  vault: Vault,
  secrets: readonly string[] | (() => readonly string[]),
): Promise<VaultKeys | undefined> {
  const read = (): Promise<OpenedKeyring | undefined> =>
    readKeyring(store, vault, typeof secrets === "function" ? secrets() : secrets);
  const ring = await read();
  if (ring === undefined) return undefined;
  const readAgain = async (): Promise<KeyringContent | undefined> => (await read())?.content;
  return new VaultKeys(vault.id, ring.content, { readAgain });
}

/** How a vault without keys gets its first one. */
export interface FirstKey {
  readonly encrypts: boolean;
  /** What is there already. */
  readonly present: UpTo;
}

/**
 * Gives a vault without keys its first one, and returns the keyring that applies: another process may have been first.
 */
export async function createKeyring(
  store: Store,
  vault: Vault,
  secrets: readonly string[],
  { encrypts, present }: FirstKey,
  ports: KeyringPorts = {},
): Promise<OpenedKeyring | undefined> {
  const none = { keys: [], open: present, clear: encrypts ? present : {} };
  const content = withNextKey(none, encrypts, ports);
  await put(store, vault, secrets, { number: 1, sealedFor: secrets.length, content }, ports);
  return readKeyring(store, vault, secrets);
}

/** Adds a key, which writes from now on. The others stay for what was written with them. Throws KeyringError. */
export function withNextKey(content: KeyringContent, encrypts: boolean, ports: KeyringPorts = {}): KeyringContent {
  const next = (content.keys.at(-1)?.number ?? 0) + 1;
  if (next > keyNumberMax)
    throw new KeyringError(`the vault has had ${keyNumberMax} keys`, "fewer", "Restore its state into a new vault.");
  const bytes = (ports.random ?? systemRandom).bytes(dataKeyBytes);
  return { ...content, keys: [...content.keys, { number: next, bytes, encrypts }] };
}

/** Puts the next keyring, which opens with these secrets alone. Returns false if another process has changed it. */
export async function sealAgain(
  store: Store,
  vault: Vault,
  secrets: readonly string[],
  { number: before, content }: OpenedKeyring,
  ports: KeyringPorts = {},
): Promise<boolean> {
  return put(store, vault, secrets, { number: before + 1, content, sealedFor: secrets.length }, ports);
}

async function put(
  store: Store,
  vault: Vault,
  secrets: readonly string[],
  ring: OpenedKeyring,
  { clock = systemClock, random = systemRandom }: KeyringPorts,
): Promise<boolean> {
  const version = versionOf(ring.content);
  const binding = { vault, number: ring.number, version };
  const sealed = secrets.map((secret) => seal(ring.content, secret, binding, random.bytes(nonceBytes)));
  const text = JSON.stringify({ format, version, createdMs: clock.wallTime(), sealed }, null, 2);
  return (await store.putIfAbsent(keyringKey(ring.number), Buffer.from(`${text}\n`))).kind === "created";
}

const cipher = "aes-256-gcm";
const wrappingKey = (secret: string, { id }: Vault): Uint8Array =>
  deriveKey(Buffer.from(secret), id, "stead vault keys");

/** What a sealed content is part of. */
interface Binding {
  readonly vault: Vault;
  readonly number: number;
  readonly version: 1 | 2;
}

const boundTo = ({ vault, number, version }: Binding): Buffer =>
  Buffer.from(`${format} ${version} ${vault.id} ${number}`);

function seal({ keys, open: openUpTo, clear }: KeyringContent, secret: string, to: Binding, nonce: Uint8Array): string {
  const written = keys.map(({ bytes, ...key }) => ({ ...key, key: Buffer.from(bytes).toString("hex") }));
  const encryption = crypto.createCipheriv(cipher, wrappingKey(secret, to.vault), nonce).setAAD(boundTo(to));
  const text = JSON.stringify({ keys: written, open: openUpTo, clear });
  const encrypted = [encryption.update(text, "utf8"), encryption.final()];
  return Buffer.concat([nonce, ...encrypted, encryption.getAuthTag()]).toString("hex");
}

/** Undefined: it is of another secret, vault or number, or was changed. */
function open(sealed: string, secret: string, binding: Binding): KeyringContent | undefined {
  const bytes = Buffer.from(sealed, "hex");
  if (bytes.length <= nonceBytes + tagBytes) return undefined;
  const decryption = crypto
    .createDecipheriv(cipher, wrappingKey(secret, binding.vault), bytes.subarray(0, nonceBytes))
    .setAAD(boundTo(binding))
    .setAuthTag(bytes.subarray(bytes.length - tagBytes));
  let text: Buffer;
  try {
    text = Buffer.concat([decryption.update(bytes.subarray(nonceBytes, -tagBytes)), decryption.final()]);
  } catch {
    return undefined;
  }
  const { keys, open: openUpTo, clear } = v.parse(contentSchema, parseJson(text));
  const read = keys.map(({ key, ...rest }) => ({ ...rest, bytes: Buffer.from(key, "hex") }));
  return { keys: read, open: openUpTo, clear };
}

/** Throws UnknownFormatError for a keyring of a later version. */
function assertKnownVersion(key: string, ring: unknown): void {
  const later = v.safeParse(v.object({ format: v.literal(format), version: v.pipe(v.number(), v.minValue(3)) }), ring);
  if (later.success)
    throw new UnknownFormatError(key, `version ${quoteFound(String(later.output.version))}`, "versions 1 and 2");
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
