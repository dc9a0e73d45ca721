/** All machines of a history, and what can be done to them. */
import type { HostConfig } from "../../src/config/types.ts";
import { outcomeLimitsDefault } from "../../src/core/request-outcome.ts";
import type { RowReplica } from "../../src/core/replication/replication.ts";
import { type ReplicatedRow, supersedes } from "../../src/core/replication/row.ts";
import type { Rules } from "../../src/core/rules.ts";
import { identityKey } from "../../src/vault/keys.ts";
import { covers } from "../../src/core/replication/version-vector.ts";
import type { Checker } from "./checker.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import type { GatewayDatabase } from "./faults.ts";
import { Network } from "./network.ts";
import { followMs, type SimOptions } from "./options.ts";
import { type GatewayOptions, SimGateway, gatewayOf } from "./sim-gateway.ts";
import { SimHost, hostOf } from "./sim-host.ts";
import { SimMachine } from "./sim-machine.ts";
import { GatewayDisk } from "./sim-state-disk.ts";
import { openSegments, type SegmentOracle } from "./segment-oracle.ts";
import { simKeys, SimVault, vaultId } from "./sim-vault.ts";
import type { World } from "./world.ts";

export const service = "sim";
const attendEveryMs = 1_000;
const applicationReadyMsMax = 2_000;

export interface ClusterSetup {
  readonly world: World;
  readonly dice: SeededRandom;
  readonly options: SimOptions;
  readonly rules: Rules;
  readonly checker: Checker;
}

export class Cluster {
  readonly network: Network;
  readonly vault: SimVault;
  /** Of a log in segments. */
  readonly oracle: SegmentOracle | undefined;
  readonly hosts: readonly SimMachine[];
  readonly gateways: readonly SimMachine[];
  fenced = 0;
  restores = 0;
  #isHealed = false;
  readonly #setup: ClusterSetup;
  readonly #machines: ReadonlyMap<string, SimMachine>;
  readonly #disks = new Map<string, GatewayDisk>();
  readonly #oldDisks = new Map<string, GatewayDisk>();
  readonly #strayDice: SeededRandom;
  /** Files that an operator left on a machine. */
  readonly #strays: { readonly machine: SimMachine; readonly name: string }[] = [];

  /** Told of a host after each line of its log: its state may have changed. */
  readonly #onTransition = new Set<(machine: SimMachine) => void>();

  constructor(setup: ClusterSetup) {
    this.#setup = setup;
    const { world, dice, options, checker } = setup;
    this.#strayDice = new SeededRandom(`strays ${options.seed}`);
    const { networkDelayMs, lossShare, heldShare } = options;
    this.network = new Network(world, dice.fork("network"), {
      delayMs: networkDelayMs,
      lossShare,
      heldShare,
      retransmitMs: 200,
    });
    const {
      vaultLatencyMs,
      vaultTimeoutMs,
      lostReplyShare,
      lostRequestShare,
      lateShare,
      staleMissMs,
      lateDeleteShare,
    } = options;
    const vault = {
      latencyMs: vaultLatencyMs,
      timeoutMs: vaultTimeoutMs,
      lostReplyShare,
      lostRequestShare,
      lateShare,
      lateMs: 500,
      staleMissMs,
      lateDeleteShare,
    };
    this.vault = new SimVault(world, dice.fork("vault"), vault);
    this.vault.keys = options.hasKeys ? simKeys(options.isEncrypted) : undefined;
    const identity = { format: "stead-vault", version: 1, service, id: vaultId, createdMs: 0 };
    this.vault.create(identityKey, new TextEncoder().encode(JSON.stringify(identity)), "operator", 0);
    checker.watch(this.vault);
    this.oracle = options.log === "segments" ? openSegments(this.vault, service, setup) : undefined;
    const clock = () => ({
      rate: 1 + dice.between(-1, 1) * options.driftShare,
      wallStartMs: 1_800_000_000_000 + dice.int(-5_000, 5_000),
    });
    this.hosts = Array.from(
      { length: options.hosts },
      (_, i) => new SimMachine(world, String.fromCharCode(97 + i), clock()),
    );
    this.gateways = Array.from({ length: options.gateways }, (_, i) => new SimMachine(world, `g${i + 1}`, clock()));
    this.#machines = new Map([...this.hosts, ...this.gateways].map((machine) => [machine.name, machine]));
    for (const host of this.hosts.slice(0, options.earlierHosts)) host.isEarlier = true;
    for (const host of this.hosts) this.startHost(host);
    for (const gateway of this.gateways) this.startGateway(gateway, "kept");
  }

  /** The host that calls itself primary with the highest epoch. */
  get primary(): SimMachine | undefined {
    let best: SimMachine | undefined;
    let epoch = 0;
    for (const machine of this.hosts) {
      const status = hostOf(machine.process)?.host.status();
      if (machine.process?.isDead !== false || status === undefined) continue;
      if (status.role !== "primary" || status.epoch <= epoch) continue;
      best = machine;
      epoch = status.epoch;
    }
    return best;
  }

  startHost(machine: SimMachine): void {
    const { world, dice, options, rules, checker } = this.#setup;
    machine.hasPower = true;
    if (machine.process?.isDead === false) return;
    if (options.fileEvery > 0) this.#leaveStray(machine);
    world.say(machine.name, "starts");
    void new SimHost({
      world,
      network: this.network,
      vault: this.vault,
      oracle: this.oracle,
      machine,
      machines: this.#machines,
      rules,
      dice: dice.fork(machine.name),
      config: this.#config(machine),
      capture: {
        pageSize: options.pageSize,
        keys: options.keys,
        pagesPerPart: options.pagesPerPart,
        diskMs: options.diskMs,
        files: options.fileEvery > 0 ? options.files : undefined,
      },
      application: {
        startMs: options.applicationStartMs,
        readyMsMax: applicationReadyMsMax,
        execMs: options.applicationExecMs,
        longMs: options.longMs,
        health: { intervalMs: 200, timeoutMs: 300, patienceMs: options.patienceMs ?? undefined },
        restarts: { max: 3, windowMs: 60_000 },
        syncShare: options.syncShare,
        checkpointShare: options.checkpointShare,
        escapeShare: options.escapeShare,
        pageSize: options.pageSize,
        keys: options.keys,
        fileEvery: options.fileEvery,
      },
      seed: options.seed,
      http: options.http,
      pausesHandover: options.pausesHandover,
      httpDice: new SeededRandom(`http ${options.seed} ${machine.name} ${world.now}`),
      hookMs: options.hookMs,
      watch: checker,
      windowMsMin: () => (this.#isHealed ? followMs(options) : 0),
      onTransition: (what, fields) => {
        for (const tell of [...this.#onTransition]) tell(machine);
        if (what === "restoring -> secondary") this.restores += 1;
        if (fields !== undefined && "reason" in fields && String(fields.reason).startsWith("fenced")) this.fenced += 1;
      },
    });
  }

  startGateway(machine: SimMachine, database: GatewayDatabase): void {
    const { world, dice, rules, checker } = this.#setup;
    machine.hasPower = true;
    if (machine.process?.isDead === false) return;
    const disk = this.#databaseOf(machine, database);
    this.#oldDisks.set(machine.name, disk.copy());
    this.#disks.set(machine.name, disk);
    world.say(machine.name, database === "kept" ? "starts" : `starts, its database is ${database}`);
    void new SimGateway({
      world,
      network: this.network,
      machine,
      machines: this.#machines,
      hostNames: this.hosts.map(({ name }) => name),
      gatewayNames: this.gateways.map(({ name }) => name),
      disk,
      dice: dice.fork(machine.name),
      rules,
      options: this.#gatewayOptions(),
      watch: { onDefect: (gateway, what) => checker.onViolation(`gateway ${gateway}: ${what}`) },
    });
  }

  #databaseOf({ name }: SimMachine, database: GatewayDatabase): GatewayDisk {
    if (database === "deleted") return new GatewayDisk();
    return (database === "old" ? this.#oldDisks.get(name) : undefined) ?? this.#disks.get(name) ?? new GatewayDisk();
  }

  /** An operator puts a file into the data folder of a host that is down, unless a restore was interrupted there. */
  #leaveStray(machine: SimMachine): void {
    const { marker, previous, moving, files } = machine.disk;
    const isUsual = marker.kind !== "unknown" && previous === undefined && moving === undefined;
    if (!this.#strayDice.chance(this.#setup.options.files.strayShare) || !isUsual) return;
    const name = `stray-${this.#strays.length}`;
    this.#setup.world.say(machine.name, `gets ${name} from an operator`);
    files.leave(name);
    files.sync();
    this.#strays.push({ machine, name });
  }

  /** What operators left and is not set aside. */
  lostStrays(): string[] {
    return this.#strays
      .filter(({ machine, name }) => !machine.disk.files.isSetAside(name))
      .map(({ machine, name }) => `${name} on ${machine.name} is not in the log, and not set aside`);
  }

  /** Until `leave` is called. */
  watchTransitions(tell: (machine: SimMachine) => void): () => void {
    this.#onTransition.add(tell);
    return () => void this.#onTransition.delete(tell);
  }

  kill(machine: SimMachine): void {
    if (machine.process?.isDead !== false) return;
    this.#setup.world.say(machine.name, "is killed");
    machine.process.kill("crash");
  }

  losePower(machine: SimMachine): void {
    if (!machine.hasPower) return;
    this.#setup.world.say(machine.name, "loses power");
    machine.losePower(this.#setup.dice);
    this.#disks.get(machine.name)?.losePower(this.#setup.dice);
  }

  /** Everything that was started, running and whole again. */
  heal(): void {
    this.#isHealed = true;
    this.vault.trouble = "none";
    this.vault.troubles.clear();
    this.vault.isQuiet = true;
    this.network.mendAll();
    for (const machine of [...this.hosts, ...this.gateways]) {
      machine.process?.thaw();
      hostOf(machine.process)?.application?.process?.thaw();
    }
    for (const host of this.hosts) {
      this.mendApplication(host);
      host.hooks = "none";
      this.startHost(host);
    }
    for (const gateway of this.gateways) this.startGateway(gateway, "kept");
    this.#attend();
  }

  /** Repairs the application there. The host is not told: it learns that from the next start. */
  mendApplication(machine: SimMachine): void {
    machine.application = "none";
  }

  /** Virtual ms until a request that a host has set aside is tried again, as hosts announce it; 0: none is. */
  get trialInMs(): number {
    const announced = this.hosts.flatMap(({ process }) => hostOf(process)?.host.status().suspects ?? []);
    return Math.max(
      0,
      ...announced.filter(({ path }) => path.startsWith("/keys/")).map(({ trialInMs }) => trialInMs + 1),
    );
  }

  /** A trial waits until the host can afford that its application ends once more. */
  readonly restartWindowMs = 60_000;

  /** How long the hosts wait at most before the next try that they have announced. */
  get retryInMs(): number {
    return Math.max(0, ...this.hosts.map(({ process }) => hostOf(process)?.host.status().retry?.inMs ?? 0));
  }

  /** The operator looks at intervals, until no gateway says that automation is paused. */
  #attend(): void {
    for (const { process } of this.gateways) {
      if (gatewayOf(process)?.state?.automation.kind === "paused")
        process?.enter(() => gatewayOf(process)?.command({ kind: "resume" }));
    }
    this.#setup.world.after(attendEveryMs, "attend", () => this.#attend());
  }

  /**
   * What the gateways' copies of the shared tables do not agree on; undefined when they do. Health is each one's own
   * view of the moment.
   */
  disagreement(): string | undefined {
    const replicas = this.gateways.map(({ name, process }) => ({ name, replica: gatewayOf(process)?.replica }));
    const [first] = replicas;
    if (first?.replica === undefined) return "a gateway has no database";
    const there = rowsOf(first.replica);
    for (const { name, replica } of replicas) {
      if (replica === undefined) return `${name} has no database`;
      const here = replica === first.replica ? there : rowsOf(replica);
      for (const [key, row] of [...here, ...there])
        if (here.get(key) !== there.get(key)) return `${name} and ${first.name} differ: ${row}`;
      for (const other of replicas) {
        const missing = other.replica === undefined ? undefined : falseClaim(replica, other.replica);
        if (missing !== undefined) return `the vector of ${name} claims what it does not have: ${missing}`;
      }
    }
    return undefined;
  }

  /** Why the cluster is not well yet; undefined when it is. */
  unwell(): string | undefined {
    const statuses = this.hosts.map((machine) => hostOf(machine.process)?.host.status());
    const primary = statuses.find((status) => status?.role === "primary");
    if (primary === undefined)
      return `no primary: ${statuses.map((status) => `${status?.host} ${status?.role} (${status?.reason})`).join(", ")}`;
    for (const status of statuses) {
      if (status === undefined || status === primary) continue;
      if (status.role !== "secondary") return `${status.host} is ${status.role}: ${status.reason}`;
      if (status.epoch !== primary.epoch) return `${status.host} is in epoch ${status.epoch}, not ${primary.epoch}`;
    }
    for (const machine of this.gateways) {
      const state = gatewayOf(machine.process)?.state;
      if (state?.automation.kind === "paused") return `${machine.name} is paused`;
      if (state?.primary?.host !== primary.host || state.primary.epoch !== primary.epoch)
        return `${machine.name} believes in ${state?.primary?.host} ${state?.primary?.epoch}`;
      if (state.phase.kind !== "serving" || state.routed.kind !== "host")
        return `${machine.name} is ${state.phase.kind}, routes ${JSON.stringify(state.routed)}`;
    }
    return undefined;
  }

  /** A host that has not read the log up to a position; undefined when all have. */
  behind(position: number): string | undefined {
    for (const machine of this.hosts) {
      const status = hostOf(machine.process)?.host.status();
      const isReady = status?.role === "primary" || status?.role === "secondary";
      if (status === undefined || !isReady || status.position < position)
        return `${machine.name} is ${status?.role} at ${status?.position}, not ${position}`;
    }
    return undefined;
  }

  get heldMax(): number {
    return this.#setup.options.heldMax;
  }

  get keys(): number {
    return this.#setup.options.keys;
  }

  #config(machine: SimMachine): HostConfig {
    const { options } = this.#setup;
    const address = { host: machine.name, port: 0 };
    const url = `http://${machine.name}`;
    return {
      id: machine.name,
      service,
      controlListen: address,
      controlUrl: url,
      dataListen: address,
      dataUrl: url,
      dataFolder: "/data",
      databases: ["*.db"],
      databasesExcept: [],
      databasesMax: 10_000,
      uncaptured: "hold",
      uncapturedPatienceMs: 10_000,
      stateFolder: "/state",
      setAsideFolder: "/set-aside",
      setAsideKeep: 20,
      setAsideBytesMax: 2 ** 40,
      diskStallMs: 5_000,
      vaultUrl: "sim:",
      vaultTimeoutMs: options.vaultTimeoutMs,
      bootstrapCheck: "quick",
      bootstrap: machine === this.hosts[0] || machine.name === "a",
      durability: { kind: "strict" },
      leaseMs: options.leaseMs,
      isRestarted: true,
      driftMarginMs: options.driftMarginMs,
      pollMs: options.pollMs,
      drainTimeoutMs: options.drainTimeoutMs,
      drainStreamsMs: 1_000,
      outcomes: outcomeLimitsDefault,
      priority: 0,
      nofailover: false,
      secret: "s",
      cluster: { name: "stead", acceptBearer: false },
      application: {
        command: ["app"],
        cwd: "/",
        env: {},
        readyPath: undefined,
        readyTimeoutMs: applicationReadyMsMax,
        health: { path: undefined, intervalMs: 1_000, timeoutMs: 2_000, patienceMs: undefined },
        port: undefined,
        stopSignal: "SIGTERM",
        stopCommand: undefined,
        stopTimeoutMs: 1_000,
        restartsMax: 3,
        restartWindowMs: this.restartWindowMs,
        log: { kind: "prefixed" },
      },
      checkpoint: {
        intervalMs: options.checkpointIntervalMs,
        journalBytes: options.checkpointJournalBytes,
        restoreBudgetMs: 60_000,
        askedMs: 10_000,
        keepMin: options.keepMin,
        windowMs: options.windowMs,
        history: [],
      },
      limits: {
        connectionsMax: 100,
        headBytesMax: 1,
        headerCountMax: 1,
        bodyBytesMax: 1,
        headArrivalMs: 1,
        idleMs: 1,
        connectMs: 1,
        firstByteMs: 1,
      },
    };
  }

  #gatewayOptions(): GatewayOptions {
    const {
      probeIntervalMs: intervalMs,
      probeTimeoutMs: timeoutMs,
      fall,
      rise,
      holdMs,
      heldMax,
      firstByteMs,
      diskMs,
      againShare,
    } = this.#setup.options;
    return { service, probe: { intervalMs, timeoutMs, fall, rise }, holdMs, heldMax, firstByteMs, diskMs, againShare };
  }
}

function rowsOf(replica: RowReplica): Map<string, string> {
  const rows = new Map<string, string>();
  for (const row of replica.rows()) if (row.table !== "health") rows.set(`${row.table}\n${row.key}`, textOf(row));
  return rows;
}

const textOf = ({ table, key, origin, seq, hlc, deleted, values }: ReplicatedRow): string =>
  JSON.stringify([table, key, origin, seq, hlc, deleted, Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))]);

/** A row of `other` that the vector of `replica` covers, and that is neither there nor superseded there. */
function falseClaim(replica: RowReplica, other: RowReplica): string | undefined {
  for (const row of other.rows()) {
    if (!covers(replica.vector, row.origin, row.seq)) continue;
    const own = replica.get(row.table, row.key);
    if (own === undefined || supersedes(row, own)) return textOf(row);
  }
  return undefined;
}
