/**
 * The certificate files of the listener: read at the start, checked every second, replaced when one has changed.
 *
 * Polling instead of watching: renewals replace files, folders and symbolic links, and a watch follows only some of
 * them. Unreadable or mismatched files (half of a renewal) leave the old certificates in use and are reported once; the
 * next check tries again.
 */
import { readFileSync } from "node:fs";
import type { CertificateFiles, TlsConfig } from "../../config/types.ts";
import { CertificateError, type Certificate, type TlsCertificates } from "../../http/server/server-tls.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { filesState } from "../../runtime/files-state.ts";
import type { Logger } from "../../runtime/log.ts";
import { messageOf } from "../../runtime/operator-error.ts";

const lookMs = 1_000;

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
  #seen: string;
  #timer: Timer | undefined;
  /** Why the present files are not in use; undefined if they are. */
  warning: string | undefined;

  /** `seen`: the state of the files when those in use were read, from `fingerprint` before reading. */
  constructor(
    config: TlsConfig,
    seen: string,
    options: { clock: Clock; log: Logger; replace: (certificates: TlsCertificates) => void },
  ) {
    this.#config = config;
    this.#seen = seen;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#replace = options.replace;
    this.#lookLater();
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
      this.#replace(readCertificates(this.#config));
      this.#seen = now;
      this.warning = undefined;
      this.#log.info("certificates reloaded");
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      const why = messageOf(error);
      if (this.warning !== why) this.#log.error("certificates not reloaded, the previous ones stay in use", { why });
      this.warning = why;
    }
  }
}

/** Returns a value that changes with any of the files (runtime/files-state.ts). */
export const fingerprint = (config: TlsConfig): string =>
  filesState([config, ...config.names].flatMap(({ certPath, keyPath }) => [certPath, keyPath]));
