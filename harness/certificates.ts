/** The certificates of a cluster in its folder, and those with which the harness calls its processes. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { clusterNameDefault } from "../src/control/channel/keyring.ts";
import type { Party } from "../src/control/channel/transcript.ts";
import { ClusterTls } from "../src/control/tls/cluster-tls.ts";
import {
  authorityDays,
  certificateDays,
  type Issued,
  issueCertificate,
  makeAuthority,
} from "../src/control/tls/issue.ts";
import type { Clock } from "../src/runtime/clock.ts";
import { systemLog } from "../src/runtime/log.ts";

export class Certificates {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #authority: Issued;

  private constructor(folder: string, clock: Clock, authority: Issued) {
    this.#folder = folder;
    this.#clock = clock;
    this.#authority = authority;
    writeFileSync(join(folder, "ca.pem"), authority.cert);
  }

  static async create(folder: string, clock: Clock): Promise<Certificates> {
    const validity = { nowMs: clock.wallTime(), days: authorityDays };
    return new Certificates(folder, clock, await makeAuthority(clusterNameDefault, validity));
  }

  /** Writes tls.pem and tls.key into a folder of the cluster's folder. */
  async issue(folder: string, ...[first, ...others]: [Party, ...Party[]]): Promise<void> {
    const identityOf = (party: Party) => ({ cluster: clusterNameDefault, party });
    const { cert, key } = await issueCertificate(this.#authority, [identityOf(first), ...others.map(identityOf)], {
      nowMs: this.#clock.wallTime(),
      days: certificateDays,
    });
    writeFileSync(join(folder, "tls.pem"), cert);
    writeFileSync(join(folder, "tls.key"), key, { mode: 0o600 });
  }

  /** Certificates of an operator and of a gateway, to call hosts and gateways, and the fronts of hosts. */
  async ofHarness(): Promise<ClusterTls> {
    const folder = this.#folder;
    await this.issue(folder, { role: "operator", id: "harness" }, { role: "gateway", id: "harness" });
    const path = (name: string): string => join(folder, name);
    const config = { caPath: path("ca.pem"), certPath: path("tls.pem"), keyPath: path("tls.key") };
    return new ClusterTls({
      config,
      cluster: clusterNameDefault,
      self: [],
      clock: this.#clock,
      log: systemLog("harness"),
    });
  }
}
