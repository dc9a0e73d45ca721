/**
 * A cluster for the demo, benchmarks, chaos and tests: gateways, hosts and a vault server as real processes with
 * configuration files of their own, one fresh vault, all in one temporary folder.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ChannelClient } from "../src/control/channel/client.ts";
import { hostParty } from "../src/control/channel/transcript.ts";
import type { ClusterTls } from "../src/control/tls/cluster-tls.ts";
import { HostClient } from "../src/control/host-client.ts";
import type { HostStatus } from "../src/control/host-status.ts";
import type { Clock } from "../src/runtime/clock.ts";
import { OperatorError } from "../src/runtime/operator-error.ts";
import { freePorts } from "../src/runtime/free-ports.ts";
import { type LogKind, readIdentity } from "../src/vault/store/identity.ts";
import { keysOfNew } from "../src/vault/log/turn-on-keys.ts";
import { createVault } from "../src/vault/store/open-store.ts";
import type { S3Endpoint } from "../src/core/s3-place.ts";
import { createS3Vault } from "../src/s3/open-s3-vault.ts";
import type { S3Store } from "../src/s3/s3-store.ts";
import type { DemoApplication } from "./applications.ts";
import {
  gatewayConfigText,
  type GatewayPlace,
  hostConfigText,
  type HostPlace,
  urlAt,
  vaultConfigText,
  type VaultPlace,
  vaultUrlAt,
} from "./config-text.ts";
import { Certificates } from "./certificates.ts";
import { HttpCaller } from "./http-call.ts";
import { isListening } from "./listening.ts";
import type { GroupProcess, ProcessKeeper } from "./processes.ts";
import { selfCommand } from "../src/runtime/self-command.ts";

export interface ClusterOptions {
  readonly folder: string;
  readonly service: string;
  readonly application: DemoApplication;
  readonly hosts: number;
  readonly gateways: number;
  readonly keeper: ProcessKeeper;
  readonly clock: Clock;
  /** More tables of the hosts' configuration. */
  readonly hostExtra?: string;
  /** More keys of the hosts' table `[host]`. */
  readonly hostKeys?: string;
  /** More settings of the service, a line each. */
  readonly serviceExtra?: string;
  /** How often `until` looks; a measurement looks less often, so that it is not disturbed. */
  readonly lookEveryMs?: number;
  /** The program that runs the members; this program by default. */
  readonly program?: readonly [string, ...string[]];
  /** Holds the applications' data, in a folder for each host; default: each in the folder of its host. */
  readonly dataFolder?: string | undefined;
  /** Where the vault has its log; default: as `stead vault create` decides. */
  readonly log?: LogKind;
  /** Hosts reach the vault over a vault server, which is one more member; its log is in segments. */
  readonly isVaultServed?: boolean;
  /** The vault is in a bucket, not in a folder. */
  readonly bucket?: BucketPlace | undefined;
  /** Its processes call each other over mutual TLS. */
  readonly isTls?: boolean | undefined;
  /** Of the vault; default: none. */
  readonly vaultKeys?: VaultKeysKind | undefined;
  /** Members that live elsewhere than on the loopback interface of this machine. */
  readonly places?: MemberPlaces;
}

/** Whether the vault's records are authenticated (mac), and encrypted as well. */
export type VaultKeysKind = "none" | "mac" | "encrypted";

/** A vault in a bucket, as the cluster makes it. */
export interface BucketPlace {
  /** `s3://bucket/prefix`. */
  readonly url: string;
  readonly endpoint: S3Endpoint;
  readonly credentials: { readonly accessKeyId: string; readonly secretKey: string };
}

/** Where members live, for tests that give each a network of its own. */
export interface MemberPlaces {
  /** The address that a member listens on, and at which all others reach it. */
  addressOf(id: string): string;
  /** The vault's path as a host sees it, and as the cluster makes it. */
  vaultOf(hostId: string): string;
  readonly vault: string;
  /** A command that is put before a member's command, to start it in its place; it must become the same process. */
  commandOf(id: string, command: readonly [string, ...string[]]): readonly [string, ...string[]];
}

/** A process of the cluster, with where it lives. */
export interface Member {
  readonly id: string;
  readonly role: "gateway" | "host" | "vault";
  readonly folder: string;
  readonly configFile: string;
  readonly logFile: string;
  process: GroupProcess | undefined;
}

export interface HostMember extends Member {
  readonly role: "host";
  readonly controlUrl: string;
  readonly dataUrl: string;
}

export interface GatewayMember extends Member {
  readonly role: "gateway";
  readonly url: string;
  readonly adminUrl: string;
}

export interface VaultMember extends Member {
  readonly role: "vault";
  /** Answers without a secret. */
  readonly healthUrl: string;
}

/** A condition was not met in time. */
export class DemoTimeoutError extends OperatorError {
  constructor(found: string) {
    super("verdict", { found, advice: "see the logs above; run it again with the same --seed" });
  }
}

const defaultLookEveryMs = 20;
const statusTimeoutMs = 300;
const vaultWithinMs = 30_000;
const logTailLines = 15;

export class Cluster {
  readonly hosts: readonly HostMember[];
  readonly gateways: readonly GatewayMember[];
  /** Undefined: hosts have the vault's folder. */
  readonly vaultServer: VaultMember | undefined;
  readonly secret: string;
  /** Calls the processes as an operator. */
  readonly caller: ChannelClient;
  readonly #options: ClusterOptions;

  private constructor(
    options: ClusterOptions,
    secret: string,
    { hosts, gateways, vaultServer }: Pick<Cluster, "hosts" | "gateways" | "vaultServer">,
    tls: ClusterTls | undefined,
  ) {
    this.caller = ChannelClient.ofOperator(secret, options.clock, tls);
    this.#options = options;
    this.vaultServer = vaultServer;
    this.secret = secret;
    this.hosts = hosts;
    this.gateways = gateways;
  }

  /** Writes the folder; starts nothing. */
  static async create(options: ClusterOptions): Promise<Cluster> {
    const { folder, service, application } = options;
    const ports = await freePorts(2 * (options.hosts + options.gateways) + 1);
    const takePort = (): number => {
      const port = ports.pop();
      if (port === undefined) throw new Error("fewer ports were reserved than needed");
      return port;
    };
    const secret = randomBytes(24).toString("hex");
    writeFileSync(join(folder, "secret"), `${secret}\n`, { mode: 0o600 });
    const { places } = options;
    const isServed = options.isVaultServed === true;
    const log = isServed ? "segments" : options.log;
    const { bucket } = options;
    const vault =
      bucket === undefined
        ? await createVault(places?.vault ?? join(folder, "vault"), service, { log })
        : await createInBucket(folder, service, bucket);
    try {
      const identity = await readIdentity(vault);
      const { vaultKeys = "none" } = options;
      if (vaultKeys !== "none" && identity !== undefined)
        await keysOfNew(vault, identity, [secret], { encrypts: vaultKeys === "encrypted" });
    } finally {
      await vault.close();
    }
    const at = (id: string): { address?: string } => (places === undefined ? {} : { address: places.addressOf(id) });
    const vaultPlace = isServed ? { ...at("vault-server"), port: takePort() } : undefined;
    const hostPlaces = Array.from({ length: options.hosts }, (_, index): HostPlace => {
      const id = `host-${index + 1}`;
      return { id, ...at(id), controlPort: takePort(), dataPort: takePort() };
    });
    const gatewayPlaces = Array.from({ length: options.gateways }, (_, index): GatewayPlace => {
      const id = `gateway-${index + 1}`;
      return { id, ...at(id), port: takePort(), adminPort: takePort() };
    });
    const hosts = hostPlaces.map((place, index): HostMember => {
      const vault =
        vaultPlace !== undefined
          ? { vault: vaultUrlAt(vaultPlace) }
          : bucket !== undefined
            ? { vault: bucket.url }
            : places === undefined
              ? {}
              : { vault: places.vaultOf(place.id) };
      const data = options.dataFolder === undefined ? undefined : join(options.dataFolder, place.id);
      const config = hostConfigText({
        ...{ place, data, service, application, bootstrap: index === 0 },
        extra: `${bucket === undefined ? "" : bucketTable(bucket)}${options.hostExtra ?? ""}`,
        isTls: options.isTls,
        keys: options.hostKeys,
        ...vault,
      });
      const member = makeMember(folder, place.id, "host", config);
      mkdirSync(data ?? join(member.folder, "data"));
      return {
        ...member,
        role: "host",
        controlUrl: urlAt(place.controlPort, place.address),
        dataUrl: urlAt(place.dataPort, place.address),
      };
    });
    const peersOf = (place: GatewayPlace): GatewayPlace[] => gatewayPlaces.filter((other) => other !== place);
    const gateways = gatewayPlaces.map((place): GatewayMember => {
      const member = makeMember(
        folder,
        place.id,
        "gateway",
        gatewayConfigText(place, service, hostPlaces, {
          ...{ peers: peersOf(place), isTls: options.isTls, serviceExtra: options.serviceExtra },
        }),
      );
      return {
        ...member,
        role: "gateway",
        url: urlAt(place.port, place.address),
        adminUrl: urlAt(place.adminPort, place.address),
      };
    });
    const vaultServer =
      vaultPlace === undefined ? undefined : vaultMember(folder, vaultPlace, places?.vault ?? "../vault");
    const certificates = options.isTls === true ? await Certificates.create(folder, options.clock) : undefined;
    for (const { id, folder: own } of hosts) await certificates?.issue(own, hostParty(service, id));
    for (const { id, folder: own } of gateways) await certificates?.issue(own, { role: "gateway", id });
    return new Cluster(options, secret, { hosts, gateways, vaultServer }, await certificates?.ofHarness());
  }

  /** Starts a member's process; it must not run. */
  async start(member: Member): Promise<GroupProcess> {
    if (member.process?.end === undefined && member.process !== undefined) throw new Error(`${member.id} runs already`);
    const command: [string, ...string[]] = [
      ...(this.#options.program ?? selfCommand()),
      ...(member.role === "vault" ? ["vault", "serve"] : [member.role]),
      member.configFile,
    ];
    const placed = this.#options.places?.commandOf(member.id, command) ?? command;
    member.process = await this.#options.keeper.start(placed, member.folder, member.logFile);
    return member.process;
  }

  /** Starts the vault server, if there is one, and waits until it answers: a host does not start without its vault. */
  async startVaultServer(signal: AbortSignal): Promise<void> {
    const { vaultServer } = this;
    if (vaultServer === undefined) return;
    await this.start(vaultServer);
    const caller = new HttpCaller(1);
    const isServing = (): Promise<true | undefined> =>
      caller.call({ method: "GET", url: vaultServer.healthUrl, timeoutMs: statusTimeoutMs }).then(
        ({ status }) => (status === 200 ? true : undefined),
        () => undefined,
      );
    await this.until("the vault server", vaultWithinMs, signal, () => "it does not answer", isServing);
    caller.close();
  }

  /** The host's own status, read past the gateway; undefined when the host does not answer. */
  async statusOf(host: HostMember): Promise<HostStatus | undefined> {
    const answer = await this.clientOf(host).status(statusTimeoutMs);
    return answer.kind === "ok" ? answer.value : undefined;
  }

  /** The host's control API. */
  clientOf(host: HostMember): HostClient {
    return new HostClient(host.controlUrl, this.caller, this.#options.clock);
  }

  /** The host that says it is primary, of the highest epoch; undefined when none does. */
  async primary(): Promise<{ readonly host: HostMember; readonly status: HostStatus } | undefined> {
    const asked = await Promise.all(this.hosts.map(async (host) => ({ host, status: await this.statusOf(host) })));
    let best: { host: HostMember; status: HostStatus } | undefined;
    for (const { host, status } of asked) {
      if (status?.role === "primary" && (best === undefined || status.epoch > best.status.epoch))
        best = { host, status };
    }
    return best;
  }

  /**
   * Waits until one host is primary and the others, or at least `secondariesMin`, are secondaries of its epoch, and
   * every gateway that runs takes connections. No request is sent to a gateway, which would be held.
   */
  async whenWhole(withinMs: number, signal: AbortSignal, secondariesMin = this.hosts.length - 1): Promise<HostMember> {
    let said = "";
    return this.until(
      `one primary and ${secondariesMin} secondaries`,
      withinMs,
      signal,
      () => said,
      async () => {
        const statuses = await Promise.all(this.hosts.map((host) => this.statusOf(host)));
        said = this.hosts.map((host, index) => `${host.id} ${describe(statuses[index])}`).join(", ");
        const primaries = this.hosts.filter((_, index) => statuses[index]?.role === "primary");
        const ready = statuses.filter((status) => status?.role === "primary" || status?.role === "secondary");
        const epochs = new Set(ready.map((status) => status?.epoch));
        if (primaries.length !== 1 || ready.length <= secondariesMin || epochs.size !== 1) return undefined;
        const deaf = await this.#deafGateway();
        if (deaf !== undefined) said += `; ${deaf} takes no connections`;
        return deaf === undefined ? primaries[0] : undefined;
      },
    );
  }

  /** Returns one that runs and does not listen yet. In other networks it is not looked at. */
  async #deafGateway(): Promise<string | undefined> {
    if (this.#options.places !== undefined) return undefined;
    for (const { id, url, process } of this.gateways)
      if (process !== undefined && process.end === undefined && !(await isListening(url))) return id;
    return undefined;
  }

  /** Looks until `look` finds something; throws `DemoTimeoutError` with what is known and the end of the logs. */
  async until<T>(
    what: string,
    withinMs: number,
    signal: AbortSignal,
    known: () => string,
    look: () => Promise<T | undefined>,
  ): Promise<T> {
    const { clock } = this.#options;
    const end = clock.now() + withinMs;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      this.#throwIfEnded();
      if (clock.now() > end)
        throw new DemoTimeoutError(`waited ${withinMs} ms for ${what}; ${known()}\n${this.logTails()}`);
      await clock.sleep(this.#options.lookEveryMs ?? defaultLookEveryMs, signal);
    }
  }

  /** The last lines of every member's log. */
  logTails(): string {
    return this.#members.map((member) => `--- ${member.logFile}\n${tailOf(member.logFile)}`).join("\n");
  }

  get #members(): readonly Member[] {
    return [...this.gateways, ...this.hosts, ...(this.vaultServer === undefined ? [] : [this.vaultServer])];
  }

  /** A member that ended by itself ends the run; one that was killed on purpose ended by SIGKILL. */
  #throwIfEnded(): void {
    for (const member of this.#members) {
      const end = member.process?.end;
      if (end === undefined || end.signal === "SIGKILL") continue;
      throw new DemoTimeoutError(
        `${member.id} ended by itself (exit code ${end.code ?? end.signal})\n--- ${member.logFile}\n${tailOf(member.logFile)}`,
      );
    }
  }
}

function vaultMember(folder: string, place: VaultPlace, vault: string): VaultMember {
  const member = makeMember(folder, "vault-server", "vault", vaultConfigText(place, vault));
  return { ...member, role: "vault", healthUrl: `${urlAt(place.port, place.address)}/health` };
}

function makeMember(folder: string, id: string, role: Member["role"], config: string): Member {
  const own = join(folder, id);
  mkdirSync(own, { recursive: true }); // It may be a file system of its own.
  const configFile = join(own, `${role}.toml`);
  writeFileSync(configFile, config, { mode: 0o600 });
  return { id, role, folder: own, configFile, logFile: join(own, "log.txt"), process: undefined };
}

const describe = (status: HostStatus | undefined): string =>
  status === undefined
    ? "does not answer"
    : `is ${status.role} at epoch ${status.epoch}${status.reason === null ? "" : ` (${status.reason})`}`;

function tailOf(file: string): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-logTailLines).join("\n");
  } catch {
    return "(empty)";
  }
}

/** In the cluster's folder, beside its secret; hosts read it from there. */
const credentialsFile = "bucket-credentials";
const bucketCallMs = 10_000;

function createInBucket(folder: string, service: string, bucket: BucketPlace): Promise<S3Store> {
  const { accessKeyId, secretKey } = bucket.credentials;
  const path = join(folder, credentialsFile);
  writeFileSync(path, `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretKey}\n`, {
    mode: 0o600,
  });
  return createS3Vault(bucket.url, service, {
    settings: {
      ...{ endpoint: bucket.endpoint, region: "us-east-1", pathStyle: true, caPath: undefined },
      credentials: { kind: "file", path, profile: "default" },
    },
    timeoutMs: bucketCallMs,
  });
}

const bucketTable = ({ endpoint: { secure, host, port } }: BucketPlace): string => `
[host.vault_s3]
endpoint = "http${secure ? "s" : ""}://${host}:${port}"
credentials_file = "../${credentialsFile}"
`;
