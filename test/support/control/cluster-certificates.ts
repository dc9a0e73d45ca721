/** Certificates of a cluster in a temporary folder, for processes in the test's process. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Party } from "../../../src/control/channel/transcript.ts";
import { ClusterTls } from "../../../src/control/tls/cluster-tls.ts";
import { type Issued, issueCertificate, makeAuthority } from "../../../src/control/tls/issue.ts";
import type { Clock } from "../../../src/runtime/clock.ts";
import type { Logger } from "../../../src/runtime/log.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

export const silentLog: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const nowMs = (): number => systemClock.wallTime();

/** The files of one process. */
export class ProcessCertificate {
  readonly config: { readonly caPath: string; readonly certPath: string; readonly keyPath: string };
  readonly #identity: { readonly cluster: string; readonly party: Party };

  constructor(folder: string, cluster: string, party: Party) {
    this.#identity = { cluster, party };
    const path = (name: string): string => join(folder, `${crypto.randomUUID()}.${name}`);
    this.config = { caPath: path("ca.pem"), certPath: path("pem"), keyPath: path("key") };
  }

  trust(...authorities: readonly Issued[]): this {
    replace(this.config.caPath, authorities.map(({ cert }) => cert).join(""));
    return this;
  }

  async issue(authority: Issued, days = 90): Promise<this> {
    const { cert, key } = await issueCertificate(authority, [this.#identity], { nowMs: nowMs(), days });
    replace(this.config.keyPath, key);
    replace(this.config.certPath, cert);
    return this;
  }

  open(clock: Clock = systemClock, log = silentLog): ClusterTls {
    const { cluster, party } = this.#identity;
    return new ClusterTls({ config: this.config, cluster, self: [party], clock, log });
  }
}

export class TestAuthority {
  readonly folder = mkdtempSync(join(tmpdir(), "stead-certificates-"));
  readonly cluster = "prod";
  #current: Issued | undefined;

  get current(): Issued {
    if (this.#current === undefined) throw new Error("the authority is not made yet");
    return this.#current;
  }

  static async create(): Promise<TestAuthority> {
    const made = new TestAuthority();
    await made.replace();
    return made;
  }

  /** Returns the one before. */
  async replace(): Promise<Issued | undefined> {
    const before = this.#current;
    this.#current = await makeAuthority(this.cluster, { nowMs: nowMs(), days: 90 });
    return before;
  }

  async certify(party: Party, cluster = this.cluster): Promise<ProcessCertificate> {
    return (await new ProcessCertificate(this.folder, cluster, party).issue(this.current)).trust(this.current);
  }

  async open(party: Party, cluster = this.cluster): Promise<ClusterTls> {
    return (await this.certify(party, cluster)).open();
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
