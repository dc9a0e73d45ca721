/**
 * The folder of [gateway.tls.acme]: the account's key, the certificate in use with its key, when the next attempt may
 * be made, and the answers to challenges, which the processes that serve clients read (route/challenge-files.ts).
 *
 * Certificate and key are one file, replaced by a rename, so that they fit together at every moment, also after a
 * power failure. Everything is readable for this user alone.
 */
import { hash, X509Certificate } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { AcmeConfig } from "../../config/acme-config.ts";
import type { CertificateLifetime } from "../../core/certificate-renewal.ts";
import type { Certificate } from "../../http/server/server-tls.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { replaceFile } from "../../runtime/replace-file.ts";
import { challengeFolder, challengePath } from "../route/challenge-files.ts";
import { placeholderCertificate, placeholderName } from "../route/self-signed.ts";
import { AccountKey } from "./account-key.ts";
import type { ChallengeAnswer } from "./acme-client.ts";

const privateMode = 0o600;

/** The folder, or a file in it, cannot be used. */
export class AcmeFolderError extends OperatorError {
  constructor(path: string, why: string) {
    super("configuration", {
      found: `${path} of [gateway.tls.acme] cannot be used: ${why}`,
      accepted: "a folder that the gateway may write to, with the files that it has made there",
      advice: "name another folder in gateway.tls.acme.folder, or correct its permissions",
    });
  }
}

export interface IssuedCertificate extends CertificateLifetime {
  readonly isPlaceholder: boolean;
}

const attemptSchema = v.object({ of: v.string(), failures: v.number(), notBeforeMs: v.number() });
export type KeptAttempt = Pick<v.InferOutput<typeof attemptSchema>, "failures" | "notBeforeMs">;

export class AcmeFolder {
  readonly #config: AcmeConfig;
  readonly #certificatePath: string;

  constructor(config: AcmeConfig, certificatePath: string) {
    this.#config = config;
    this.#certificatePath = certificatePath;
  }

  /** Makes what is missing: the folders, the account's key, a first certificate. Throws `AcmeFolderError`. */
  async prepare(nowMs: number): Promise<void> {
    const { folder } = this.#config;
    this.#guard(folder, () => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      // Of another process that ended, or of challenges that are over.
      rmSync(challengeFolder(folder), { recursive: true, force: true });
      mkdirSync(challengeFolder(folder), { mode: 0o700 });
    });
    if (this.current() !== undefined) return;
    this.put(await placeholderCertificate(this.#config.domains, nowMs));
  }

  accountKey(): AccountKey {
    const path = join(this.#config.folder, "account.key");
    return this.#guard(path, () => {
      const known = readIfThere(path);
      if (known !== undefined) chmodSync(path, 0o600);
      const text = known ?? AccountKey.generate();
      if (known === undefined) replaceFile(path, text, privateMode);
      return new AccountKey(text);
    });
  }

  /** Undefined: there is none for the names of the configuration. */
  current(): IssuedCertificate | undefined {
    const text = readIfThere(this.#certificatePath);
    if (text === undefined) return undefined;
    let found: X509Certificate;
    try {
      found = new X509Certificate(text);
    } catch {
      return undefined;
    }
    if (this.#config.domains.some((name) => found.checkHost(name) === undefined)) return undefined;
    return {
      notBeforeMs: Date.parse(found.validFrom),
      notAfterMs: Date.parse(found.validTo),
      isPlaceholder: found.subject.includes(placeholderName),
    };
  }

  put({ cert, key }: Certificate): void {
    this.#guard(this.#certificatePath, () => replaceFile(this.#certificatePath, `${cert}${key}`, privateMode));
  }

  /** Of attempts for the same names by the same authority. */
  lastAttempt(): KeptAttempt | undefined {
    try {
      const read = v.parse(attemptSchema, JSON.parse(readIfThere(this.#attemptPath) ?? ""));
      return read.of === this.#subject ? read : undefined;
    } catch {
      return undefined;
    }
  }

  keepAttempt(attempt: KeptAttempt): void {
    const text = JSON.stringify({ of: this.#subject, ...attempt });
    this.#guard(this.#attemptPath, () => replaceFile(this.#attemptPath, text, privateMode));
  }

  /** Of this gateway's order, or of another gateway's. */
  putAnswer(answer: ChallengeAnswer): void {
    const path = challengePath(this.#config.folder, answer.kind, keyOf(answer));
    if (path !== undefined) this.#guard(path, () => replaceFile(path, answer.keyAuthorization, privateMode));
  }

  removeAnswer(answer: Pick<ChallengeAnswer, "kind" | "domain" | "token">): void {
    const path = challengePath(this.#config.folder, answer.kind, keyOf(answer));
    if (path !== undefined) this.#guard(path, () => rmSync(path, { force: true }));
  }

  get #attemptPath(): string {
    return join(this.#config.folder, "attempt.json");
  }

  get #subject(): string {
    const { directory, domains, challenge } = this.#config;
    return hash("sha256", JSON.stringify([directory, domains, challenge]));
  }

  #guard<T>(path: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new AcmeFolderError(path, messageOf(error));
    }
  }
}

const keyOf = ({ kind, domain, token }: Pick<ChallengeAnswer, "kind" | "domain" | "token">): string =>
  kind === "http-01" ? token : domain;

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
