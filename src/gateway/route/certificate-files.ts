/**
 * The certificate files of the listener: read at the start, checked every second, replaced when one has changed.
 *
 * Polling instead of watching: renewals replace files, folders and symbolic links, and a watch follows only some of
 * them. Unreadable or mismatched files (half of a renewal) leave the old certificates in use and are reported once; the
 * next check tries again.
 *
 * Operators are told of the end of a certificate two weeks before it. Those of an authority are renewed earlier, and
 * have warnings of their own (acme/certificate-orders.ts).
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { CertificateFiles, TlsConfig } from "../../config/types.ts";
import { CertificateError, type Certificate, type TlsCertificates } from "../../http/server/server-tls.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { filesState } from "../../runtime/files-state.ts";
import type { Logger } from "../../runtime/log.ts";
import { messageOf } from "../../runtime/operator-error.ts";

const lookMs = 1_000;
const warnBeforeMs = 14 * 86_400_000;

/** Throws `CertificateError` when a file cannot be read. */
export function readCertificates(config: TlsConfig): TlsCertificates {
  const names = config.names.map((entry) => [entry.serverName, readPair(entry.serverName, entry)] as const);
  return { ...readPair("the default name", config), names: Object.fromEntries(names) };
}

function readPair(which: string, { certPath, keyPath }: CertificateFiles): Certificate {
  return { cert: readText(which, certPath), key: readText(which, keyPath) };
}

function readText(which: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CertificateError(which, `${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

export class CertificateWatch {
  readonly #config: TlsConfig;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #replace: (certificates: TlsCertificates) => void;
  #used: TlsCertificates;
  #seen: string;
  #timer: Timer | undefined;
  /** Why the present files are not in use; undefined if they are. */
  #defect: string | undefined;

  /** `seen`: the state of the files when those in use were read, from `fingerprint` before reading. */
  constructor(
    config: TlsConfig,
    { used, seen }: { readonly used: TlsCertificates; readonly seen: string },
    options: { clock: Clock; log: Logger; replace: (certificates: TlsCertificates) => void },
  ) {
    this.#config = config;
    this.#used = used;
    this.#seen = seen;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#replace = options.replace;
    this.#lookLater();
  }

  /** For the operator, one sentence each. */
  get warnings(): readonly string[] {
    const now = this.#clock.wallTime();
    const { acme } = this.#config;
    const files = [
      ...(acme === undefined ? [{ name: "the default name", cert: this.#used.cert }] : []),
      ...Object.entries(this.#used.names ?? {}).map(([name, { cert }]) => ({ name, cert })),
    ];
    const ends = files.flatMap(({ name, cert }) => {
      const endsAtMs = Date.parse(new X509Certificate(cert).validTo);
      if (endsAtMs - now > warnBeforeMs) return [];
      const when = `${endsAtMs <= now ? "has expired" : "expires"} at ${new Date(endsAtMs).toISOString()}`;
      return [`the certificate for ${name} ${when}: replace the files of [gateway.tls]`];
    });
    return [...(this.#defect === undefined ? [] : [this.#defect]), ...ends];
  }

  close(): void {
    this.#timer?.cancel();
  }

  #lookLater(): void {
    this.#timer = this.#clock.setTimer(lookMs, () => {
      this.#look();
      this.#lookLater();
    });
  }

  #look(): void {
    const now = fingerprint(this.#config);
    if (now === this.#seen) return;
    try {
      const fresh = readCertificates(this.#config);
      this.#replace(fresh);
      this.#used = fresh;
      this.#seen = now;
      this.#defect = undefined;
      this.#log.info("certificates reloaded");
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      const why = messageOf(error);
      if (this.#defect !== why) this.#log.error("certificates not reloaded, the previous ones stay in use", { why });
      this.#defect = why;
    }
  }
}

/** Returns a value that changes with any of the files (runtime/files-state.ts). */
export const fingerprint = (config: TlsConfig): string =>
  filesState([config, ...config.names].flatMap(({ certPath, keyPath }) => [certPath, keyPath]));
