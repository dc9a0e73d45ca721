/**
 * Opens the vault in a bucket, after proving that the bucket meets the store's contract (s3-probe.ts). A prefix without
 * an identity is refused; only `createS3Vault` makes a new vault.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { connect } from "node:tls";
import { parseS3Url, type S3Settings, s3UrlAccepted } from "../core/s3-place.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { type Random, systemRandom } from "../runtime/random.ts";
import { nodeSocket, nodeSocketOptions } from "../runtime/tcp/node-tcp.ts";
import { systemTcp } from "../runtime/tcp/system-tcp.ts";
import type { Tcp } from "../runtime/tcp/tcp.ts";
import { NotAVaultError } from "../vault/errors.ts";
import { checkpointPrefix, chunkPrefix, exclusionPrefix, keyringPrefix } from "../vault/keys.ts";
import { StoreLog } from "../vault/log/store-log.ts";
import { ensureIdentity, readIdentity } from "../vault/store/identity.ts";
import { StoreError } from "../vault/store/store.ts";
import { CredentialBook } from "./credentials.ts";
import { S3Client } from "./s3-client.ts";
import { probeBucket } from "./s3-probe.ts";
import { S3Store } from "./s3-store.ts";

export interface OpenS3Options {
  /** [host.vault_s3]. */
  readonly settings: S3Settings;
  /** For one call. */
  readonly timeoutMs: number;
  /** Default: that of this process. */
  readonly env?: Readonly<Partial<Record<string, string>>> | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Throws StoreError and NotAVaultError, with advice. */
export const openS3Vault = (url: string, options: OpenS3Options): Promise<S3Store> =>
  opened(url, options, async (store) => {
    if ((await readIdentity(store)) === undefined) throw new NotAVaultError(url, "it has no identity");
  });

/** Opens a prefix for a copy of a vault, whatever is there. Throws StoreError, with advice. */
export const openS3Copy = (url: string, options: OpenS3Options): Promise<S3Store> =>
  opened(url, options, () => Promise.resolve());

/**
 * Makes a new vault for a service below the prefix. Repeated for the same service it opens the vault; a prefix with
 * other objects is refused, another service's vault throws ForeignVaultError.
 */
export const createS3Vault = (url: string, service: string, options: OpenS3Options): Promise<S3Store> =>
  opened(url, options, async (store) => {
    if ((await readIdentity(store)) === undefined) await assertEmpty(store, service);
    await ensureIdentity(store, service);
  });

async function opened(
  url: string,
  { settings, timeoutMs, env = process.env, clock = systemClock, random = systemRandom }: OpenS3Options,
  check: (store: S3Store) => Promise<void>,
): Promise<S3Store> {
  const place = parseS3Url(url);
  if (place === undefined)
    throw new StoreError("unsuitable", `${url} is not a vault's bucket`, `Write ${s3UrlAccepted}.`);
  const { endpoint, region, pathStyle, caPath } = settings;
  const book = new CredentialBook(settings.credentials, env);
  const store = new S3Store(
    new S3Client({
      ...{ ...place, url, endpoint, region, pathStyle, timeoutMs, clock, random },
      credentials: () => book.current(),
      tcp: endpoint.secure ? tlsTo(caPath) : systemTcp,
    }),
  );
  try {
    await probeBucket(store, { clock, random });
    await check(store);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Connections with TLS: the certificate must be of the host that is called. Throws StoreError. */
function tlsTo(caPath: string | undefined): Pick<Tcp, "connect"> {
  const ca = caPath === undefined ? undefined : authorities(caPath);
  return {
    connect(host, port, user) {
      const names = isIP(host) === 0 ? { servername: host } : {};
      const socket = connect({ ...nodeSocketOptions, host, port, ...names, ...(ca === undefined ? {} : { ca }) });
      socket.once("secureConnect", () => user.onConnect());
      const adapter = nodeSocket(socket);
      adapter.use(user);
      return adapter;
    },
  };
}

function authorities(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new StoreError("denied", `${path} cannot be read (${code})`, "Correct host.vault_s3.ca.", { cause: error });
  }
}

/** Objects of probes may be there; they are no vault's content. */
async function assertEmpty(store: S3Store, service: string): Promise<void> {
  let found = !(await new StoreLog(store, service).isEmpty());
  for (const folder of [checkpointPrefix, chunkPrefix, keyringPrefix, exclusionPrefix])
    found ||= (await store.list(folder, { limit: 1 })).length > 0;
  if (found) throw new StoreError("unsuitable", `${store.url} has no identity, but objects of a vault`, otherPrefix);
}

const otherPrefix = "Choose another prefix, or put the vault's identity.json back.";
