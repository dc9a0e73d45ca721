/**
 * A host process: the real `Host` with everything below it, on simulated ports; and the servers that listen in it.
 */
import type { HostConfig } from "../../src/config/types.ts";
import type { HostStatus } from "../../src/control/host-status.ts";
import {
  type DemoteEvent,
  type DemoteRequest,
  heartbeatMs,
  type PromoteEvent,
  type PromoteRequest,
} from "../../src/control/host-api.ts";
import type { Rules } from "../../src/core/rules.ts";
import { Leftovers } from "../../src/host/application/leftovers.ts";
import { Host } from "../../src/host/host.ts";
import type { PredecessorProbe, PredecessorWord } from "../../src/host/ports/ports.ts";
import { noMetrics } from "../../src/metrics/metrics.ts";
import { noCompression } from "../../src/vault/checkpoint/chunk-codec.ts";
import { collectGarbage } from "../../src/vault/checkpoint/retention.ts";
import { keyed } from "../../src/vault/store/keyed-store.ts";
import { StoreLog } from "../../src/vault/log/store-log.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import type { FrontHttpOptions } from "./front-http.ts";
import { requestOfEarlierVersion, statusOfEarlierVersion, storeOfEarlierVersion } from "./earlier-version.ts";
import { dial, type Network, type ServerEnd } from "./network.ts";
import { SimApplication, type ApplicationOptions } from "./sim-application.ts";
import type { SegmentOracle } from "./segment-oracle.ts";
import { type CaptureOptions, SimReplica, SimSource } from "./sim-capture.ts";
import type { FileTree } from "../../src/core/files/file-tree.ts";
import { SimBeside } from "./sim-beside.ts";
import type { SimDatabase } from "./sim-database.ts";
import { matcherOf } from "./sim-files.ts";
import { SimFront } from "./sim-front.ts";
import { SimProcesses } from "./sim-leftovers.ts";
import { simHooks } from "./sim-hooks.ts";
import { SimLocal } from "./sim-local.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { Answer, Request } from "./messages.ts";
import { SimProcess } from "./sim-process.ts";
import { type SimVault, vaultId } from "./sim-vault.ts";
import type { World } from "./world.ts";

/** What the checker wants to know. */
export interface HostWatch {
  /** An application that runs has got it. */
  onGiven(request: Request): void;
  onExecuted(host: string, request: Request): void;
  onRelease(host: string, epoch: number, request: Request, answer: Answer): void;
  onViolation(what: string): void;
  onForgotten(host: string, database: SimDatabase | undefined, files: Uint8Array, left: FileTree | undefined): void;
  /** Its application has made a file, or has removed one for a request. */
  onUploaded(path: string): void;
  onRemoved(host: string, request: Request, path: string): void;
  onSetAside(host: string, what: "state" | "files"): void;
}

export interface HostSetup {
  readonly world: World;
  readonly network: Network;
  readonly vault: SimVault;
  /** Undefined: the log is a collection of objects. */
  readonly oracle: SegmentOracle | undefined;
  readonly machine: SimMachine;
  readonly machines: ReadonlyMap<string, SimMachine>;
  readonly rules: Rules;
  readonly dice: SeededRandom;
  readonly config: HostConfig;
  readonly capture: CaptureOptions;
  readonly application: ApplicationOptions;
  /** For streams that are drawn apart. */
  readonly seed: number;
  readonly http: FrontHttpOptions;
  readonly pausesHandover: boolean;
  /** Of the bytes between front and application; apart from the others. */
  readonly httpDice: SeededRandom;
  /** The limit of its hooks; undefined: it has none. */
  readonly hookMs: number | undefined;
  readonly watch: HostWatch;
  /** No retention window is shorter now. */
  readonly windowMsMin: () => number;
  readonly onTransition: (what: string, fields?: object) => void;
}

/** What runs in a host process, found by the process. */
const running = new WeakMap<SimProcess, SimHost>();
export const hostOf = (process: SimProcess | undefined): SimHost | undefined =>
  process === undefined ? undefined : running.get(process);

const goneRoles: readonly HostStatus["role"][] = ["restoring", "secondary", "failed"];
const answerMsMax = 400;

export class SimHost {
  readonly process: SimProcess;
  readonly host: Host;
  readonly front: SimFront;
  readonly #setup: HostSetup;
  readonly #isEarlier: boolean;
  #application: SimApplication | undefined;
  #source: SimSource | undefined;

  /** Starts a process on the machine. */
  constructor(setup: HostSetup) {
    const { world, machine, dice, config, rules, vault, watch, capture } = setup;
    this.#setup = setup;
    const process = new SimProcess(world, machine.name, machine.clock);
    this.process = process;
    machine.process = process;
    running.set(process, this);
    this.front = new SimFront({
      process,
      dice: setup.httpDice,
      http: setup.http,
      pausesHandover: setup.pausesHandover,
      application: () => this.#application,
      epoch: () => this.host.status().epoch,
      isEarlier: machine.isEarlier,
      rules,
      onRelease: (epoch, request, answer) => watch.onRelease(machine.name, epoch, request, answer),
      onViolation: (what) => watch.onViolation(`${machine.name}: ${what}`),
    });
    this.#isEarlier = machine.isEarlier;
    const mount = vault.mount(process, machine.name);
    const { keys } = vault;
    const store = machine.isEarlier ? storeOfEarlierVersion(mount) : keyed(mount, keys);
    const [segments, cleaned] = [0, 1].map(() => setup.oracle?.open(process, machine.name, mount, dice));
    const onDiverged = (what: string): void => watch.onViolation(`${machine.name}: ${what}`);
    const capturePorts = { machine, process, dice, options: capture, onDiverged };
    const say = (level: string) => (what: string, fields?: object) => {
      setup.onTransition(what, fields);
      world.say(
        machine.name,
        `${level}${what}${fields === undefined || Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`}`,
      );
    };
    const leftovers = new Leftovers({
      processes: new SimProcesses(machine),
      clock: process.clock,
      rules,
      onWarning: say("warning: "),
    });
    const matcher = capture.files === undefined ? undefined : matcherOf(capture.files.coversIncoming);
    const local = new SimLocal({
      ...{ machine, process, dice, rules, diskMs: capture.diskMs },
      files:
        capture.files === undefined || matcher === undefined
          ? undefined
          : {
              matcher,
              slowMoveShare: capture.files.slowMoveShare,
              dice: new SeededRandom(`moves ${setup.seed} ${machine.name} ${world.now}`),
            },
      onForgotten: (database, files, left) => watch.onForgotten(machine.name, database, files, left),
      onSetAside: (what) => watch.onSetAside(machine.name, what),
    });
    const beside =
      capture.files === undefined || matcher === undefined
        ? undefined
        : new SimBeside({
            ...{ machine, process, options: capture.files, matcher, rules, store, onDiverged },
            log: segments ?? new StoreLog(store, config.service, keys),
            known: local.previousPieces,
            onWarning: say("warning: "),
          });
    this.host = new Host({
      config,
      clock: process.clock,
      random: dice,
      rules,
      log: { info: say(""), warn: say("warning: "), error: say("error: ") },
      metrics: noMetrics,
      store,
      logOver: (observed) => segments ?? new StoreLog(observed, config.service, keys),
      vaultId,
      logKind: "objects",
      // No disk is watched; that the vault can be written is asked, as it is in a real host.
      canary: { places: [], describeDescriptors: () => Promise.resolve("") },
      rehearsal: undefined,
      compression: noCompression,
      front: this.front,
      local,
      predecessor: { ask: (predecessor, signal) => this.#askPredecessor(predecessor, signal) },
      openReplica: () => {
        const replica = new SimReplica(capturePorts);
        return beside === undefined ? Promise.resolve(replica) : beside.openReplica(replica);
      },
      openSource: (known, _warnings, files) => {
        const opened = process.answer(
          capture.diskMs,
          "open source",
          () => (this.#source = new SimSource(capturePorts)),
        );
        return beside === undefined
          ? opened
          : opened.then((source) => beside.openSource(source, files, known === undefined));
      },
      localChunk: () => Promise.resolve(undefined),
      application: ({ onGaveUp }) =>
        (this.#application = new SimApplication({
          host: process,
          machine,
          dice,
          options: setup.application,
          rules,
          leftovers,
          onGaveUp,
          onWrong: onDiverged,
          onGiven: (request) => watch.onGiven(request),
          onExecuted: (request) => watch.onExecuted(machine.name, request),
          onUploaded: (path) => watch.onUploaded(path),
          onRemoved: (request, path) => watch.onRemoved(machine.name, request, path),
        })),
      leftovers,
      ...(setup.hookMs === undefined
        ? {}
        : { runHook: simHooks({ machine, process, timeoutMs: setup.hookMs, say: say("") }) }),
      freePort: () => Promise.resolve(8080),
      clean: async (newest, logPosition, noEpochAfter) => {
        const { keepMin, windowMs } = config.checkpoint;
        const policy = { checkpointsMin: keepMin, windowMs: Math.max(windowMs, setup.windowMsMin()) };
        const nowMs = process.clock.wallTime();
        const { records } = await collectGarbage({
          store,
          log: cleaned ?? new StoreLog(store, config.service, keys),
          newest,
          logPosition,
          policy,
          nowMs,
          rules,
          noEpochAfter,
        });
        if (records.length > 0)
          world.say(machine.name, `retention removed ${records.length} records up to ${newest.position}`);
      },
    });
    this.host.start();
  }

  get application(): SimApplication | undefined {
    return this.#application;
  }

  get source(): SimSource | undefined {
    return this.#source;
  }

  /** GET /v1/status/stream */
  streamStatus(end: ServerEnd<HostStatus>): void {
    const { clock } = this.process;
    const again = (): void => {
      if (end.isClosed) return;
      end.send(this.#status());
      let isDue = true;
      const once = (): void => {
        if (!isDue) return;
        isDue = false;
        timer.cancel();
        again();
      };
      const timer = clock.setTimer(heartbeatMs, once);
      void this.host.changed().then(once);
    };
    again();
  }

  status(end: ServerEnd<HostStatus>, told?: { readonly gateway: string; readonly recordFormat: number }): void {
    if (told !== undefined && !this.#isEarlier) this.host.gateways.toldFormat(told.gateway, told.recordFormat);
    end.answer(this.#status());
  }

  promote(request: PromoteRequest, end: ServerEnd<PromoteEvent>): void {
    void this.host
      .promote(this.#isEarlier ? requestOfEarlierVersion(request) : request, (event) => end.send(event))
      .then(() => end.end());
  }

  demote(request: DemoteRequest, end: ServerEnd<DemoteEvent>): void {
    void this.host.demote(request, (event) => end.send(event)).then(() => end.end());
  }

  #status(): HostStatus {
    const status = this.host.status();
    return this.#isEarlier ? statusOfEarlierVersion(status) : status;
  }

  request(request: Request, end: ServerEnd<Answer>): void {
    this.front.onRequest(request, end);
  }

  /** Like src/host/primary/predecessor.ts, on messages. */
  #askPredecessor(
    { host, controlUrl, instance }: Parameters<PredecessorProbe["ask"]>[0],
    signal: AbortSignal,
  ): Promise<PredecessorWord> {
    const { network, machines } = this.#setup;
    const to = machines.get(controlUrl.replace("http://", ""));
    if (to === undefined) return Promise.resolve({ kind: "unknown" });
    return new Promise((resolve) => {
      const settle = (word: PredecessorWord): void => {
        timer.cancel();
        dialled.abort();
        resolve(word);
      };
      const timer = this.process.clock.setTimer(answerMsMax, () => settle({ kind: "unknown" }));
      const dialled = dial<HostStatus>({
        network,
        client: this.process,
        from: this.process.name,
        to,
        label: "ask predecessor",
        serve: (process, end) => hostOf(process)?.status(end),
        onLine: (status) => {
          if (status.host !== host) settle({ kind: "unknown" });
          else if (status.instance !== instance) settle({ kind: "gone" });
          else settle(goneRoles.includes(status.role) ? { kind: "stepped-down" } : { kind: "unknown" });
        },
        onEnd: (how) => settle({ kind: how === "refused" ? "gone" : "unknown" }),
      });
      signal.addEventListener("abort", () => settle({ kind: "unknown" }), { once: true });
    });
  }
}
