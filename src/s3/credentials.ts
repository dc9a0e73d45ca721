/**
 * The credentials for a bucket: from the environment, or from a file in the format of `~/.aws/credentials`. Exactly one
 * source is configured; none is looked for elsewhere.
 *
 * The variables begin with STEAD_, so that the application does not inherit them (runtime/clean-environment.ts), and
 * its own credentials for other buckets are not taken for those of the vault. A file is read again when it has changed:
 * what rotates it need not restart the host.
 */
import { readFileSync } from "node:fs";
import type { S3CredentialSource } from "../core/s3-place.ts";
import { filesState } from "../runtime/files-state.ts";
import { StoreError } from "../vault/store/store.ts";

export interface BucketCredentials {
  readonly accessKeyId: string;
  readonly secretKey: string;
  /** Of temporary ones. */
  readonly sessionToken: string | undefined;
}

type Environment = Readonly<Partial<Record<string, string>>>;

const variables = {
  accessKeyId: "STEAD_S3_ACCESS_KEY_ID",
  secretKey: "STEAD_S3_SECRET_ACCESS_KEY",
  sessionToken: "STEAD_S3_SESSION_TOKEN",
} as const;
const keysInFile = {
  accessKeyId: "aws_access_key_id",
  secretKey: "aws_secret_access_key",
  sessionToken: "aws_session_token",
} as const;

export class CredentialBook {
  readonly #source: S3CredentialSource;
  readonly #env: Environment;
  #known: { readonly state: string; readonly credentials: BucketCredentials } | undefined;

  constructor(source: S3CredentialSource, env: Environment) {
    this.#source = source;
    this.#env = env;
  }

  /** Throws StoreError `denied`. */
  current(): BucketCredentials {
    const source = this.#source;
    const state = source.kind === "file" ? filesState([source.path]) : "";
    if (this.#known?.state !== state) this.#known = { state, credentials: this.#read() };
    return this.#known.credentials;
  }

  #read(): BucketCredentials {
    const source = this.#source;
    if (source.kind === "environment")
      return complete((name) => this.#env[variables[name]], variables, "the environment");
    let text: string;
    try {
      text = readFileSync(source.path, "utf8");
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      throw noCredentials(`${source.path} cannot be read (${code})`, "Correct host.vault_s3.credentials_file.", error);
    }
    const values = profileIn(text, source.profile);
    return complete((name) => values[keysInFile[name]], keysInFile, `[${source.profile}] of ${source.path}`);
  }
}

/** Returns the keys of one profile. */
function profileIn(text: string, profile: string): Readonly<Partial<Record<string, string>>> {
  const values: Partial<Record<string, string>> = {};
  let section = "";
  for (const line of text.split(/\r?\n/)) {
    const [, header] = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line) ?? [];
    if (header !== undefined) section = header;
    const [, name = "", value = ""] = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/i.exec(line) ?? [];
    if (section === profile && name !== "") values[name.toLowerCase()] = value;
  }
  return values;
}

function complete(
  valueOf: (name: keyof BucketCredentials) => string | undefined,
  names: Readonly<Record<keyof BucketCredentials, string>>,
  place: string,
): BucketCredentials {
  const required = (name: "accessKeyId" | "secretKey"): string => {
    const value = valueOf(name);
    if (value !== undefined && /^[\x21-\x7e]+$/.test(value)) return value;
    throw noCredentials(
      `${names[name]} is ${value === undefined ? "missing" : "no word of visible ASCII characters"} in ${place}`,
      "Set it for this process, or name a file with host.vault_s3.credentials_file.",
    );
  };
  const token = valueOf("sessionToken");
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw noCredentials(`${names.sessionToken} in ${place} has spaces or non-ASCII characters`, "Correct it.");
  return { accessKeyId: required("accessKeyId"), secretKey: required("secretKey"), sessionToken: token };
}

const noCredentials = (found: string, advice: string, cause?: unknown): StoreError =>
  new StoreError("denied", `no credentials for the vault's bucket: ${found}`, advice, { cause });

/** Removes credentials from a text that a server wrote: it may repeat what it was sent. */
export function withoutSecrets(text: string, { secretKey, sessionToken }: BucketCredentials): string {
  const hidden = text.replaceAll(secretKey, "[secret]");
  return sessionToken === undefined ? hidden : hidden.replaceAll(sessionToken, "[secret]");
}
