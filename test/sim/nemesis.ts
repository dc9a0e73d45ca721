/** Performs a schedule of faults on a cluster, and takes each back when its time is over. */
import type { Command } from "../../src/core/failover/state.ts";
import type { Cluster } from "./cluster.ts";
import { describeFault, type Direction, type Fault, type Who } from "./faults.ts";
import type { SimClient } from "./sim-client.ts";
import { gatewayOf } from "./sim-gateway.ts";
import { hostOf } from "./sim-host.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { World } from "./world.ts";

const strikeWaitMsMax = 5_000;

export class Nemesis {
  readonly #world: World;
  readonly #cluster: Cluster;
  /** Asks only what this asks it to. */
  readonly #poisoner: SimClient;
  readonly counts = new Map<Fault["kind"], number>();
  /** Those that have come, in order. */
  readonly begun: Fault[] = [];
  #isOver = false;

  constructor(world: World, cluster: Cluster, poisoner: SimClient, faults: readonly Fault[]) {
    this.#world = world;
    this.#poisoner = poisoner;
    this.#cluster = cluster;
    for (const fault of faults) world.after(fault.atMs - world.now, "fault", () => this.#begin(fault));
  }

  /** Nothing more is done, and nothing is taken back: the cluster heals as a whole. */
  stop(): void {
    this.#isOver = true;
  }

  #begin(fault: Fault): void {
    if (this.#isOver) return;
    this.begun.push(fault);
    this.counts.set(fault.kind, (this.counts.get(fault.kind) ?? 0) + 1);
    this.#world.say("FAULT", describeFault(fault));
    const undo = this.#perform(fault);
    if (undo === undefined) return;
    this.#world.after(fault.forMs, "fault over", () => {
      if (this.#isOver) return;
      this.#world.say("FAULT", `over: ${fault.kind}`);
      undo();
    });
  }

  #perform(fault: Fault): (() => void) | undefined {
    const cluster = this.#cluster;
    switch (fault.kind) {
      case "kill": {
        const machine = this.#host(fault.who);
        cluster.kill(machine);
        return () => cluster.startHost(machine);
      }
      case "power": {
        const machine = this.#host(fault.who);
        cluster.losePower(machine);
        return () => cluster.startHost(machine);
      }
      case "vault-power":
        return this.#vaultPower(fault.who);
      case "power-all":
        if (fault.withVault) cluster.vault.losePower();
        for (const machine of [...cluster.hosts, ...cluster.gateways]) cluster.losePower(machine);
        return () => {
          for (const machine of cluster.hosts) cluster.startHost(machine);
          for (const machine of cluster.gateways) cluster.startGateway(machine, "kept");
        };
      case "freeze":
        return this.#freeze(this.#host(fault.who), fault.withApplication);
      case "kill-gateway": {
        const machine = this.#gateway(fault.gateway);
        cluster.kill(machine);
        return () => cluster.startGateway(machine, fault.database);
      }
      case "freeze-gateway": {
        const process = this.#gateway(fault.gateway).process;
        process?.freeze();
        return () => process?.thaw();
      }
      case "isolate-host":
        return this.#cutOff(this.#host(fault.who), this.#others(this.#host(fault.who)), fault.direction);
      case "isolate-gateway": {
        const from = fault.onlyPrimary ? [cluster.primary ?? this.#host(0)] : cluster.hosts;
        const machine = this.#gateway(fault.gateway);
        const peers = fault.withPeers ? cluster.gateways.filter((other) => other !== machine) : [];
        return this.#cutOff(machine, [...from, ...peers], fault.direction);
      }
      case "flap":
        return this.#flap(this.#host(fault.who), fault.periodMs);
      case "slow-link":
        return this.#slow(this.#host(fault.who), fault.factor);
      case "vault":
        return this.#vault(fault.who, fault.trouble);
      case "switchover":
        this.#command(this.#gateway(fault.gateway), { kind: "switchover", target: undefined });
        return undefined;
      case "force":
        this.#command(this.#gateway(fault.gateway), { kind: "failover", target: undefined, force: true });
        return undefined;
      case "pause":
        this.#command(this.#gateway(fault.gateway), { kind: "pause" });
        return () => this.#command(this.#gateway(fault.resumeAt), { kind: "resume" });
      case "priority": {
        const { process } = this.#gateway(fault.gateway);
        process?.enter(() => gatewayOf(process)?.setPriority(this.#host(fault.who).name, fault.priority));
        return undefined;
      }
      case "restart":
        return this.#restart(this.#host(fault.who));
      case "install":
        this.#host(fault.who).isEarlier = fault.isEarlier;
        return this.#restart(this.#host(fault.who));
      case "application-crash":
        hostOf(this.#host(fault.who).process)?.application?.crash();
        return undefined;
      case "application-freeze": {
        const process = hostOf(this.#host(fault.who).process)?.application?.process;
        process?.freeze();
        return () => process?.thaw();
      }
      case "application-broken": {
        const machines = fault.who === "all" ? cluster.hosts : [this.#host(fault.who)];
        for (const machine of machines) machine.application = fault.how;
        // One that runs already was started before: it is the next start that shows it.
        if (fault.how === "crashes") for (const { process } of machines) hostOf(process)?.application?.crash();
        return () => {
          for (const machine of machines) cluster.mendApplication(machine);
        };
      }
      case "hooks-broken": {
        const machines = fault.who === "all" ? cluster.hosts : [this.#host(fault.who)];
        for (const machine of machines) machine.hooks = fault.how;
        return () => {
          for (const machine of machines) machine.hooks = "none";
        };
      }
      case "poison":
        this.#poisoner.ask({ kind: "read", key: 0, poison: fault.how }, this.#gateway(fault.gateway), () => undefined);
        return undefined;
      case "checkpoint": {
        const process = this.#host(fault.who).process;
        process?.enter(() => void hostOf(process)?.host.checkpoint());
        return undefined;
      }
      case "strike":
        return this.#strike(fault);
      case "lost-continuity":
        hostOf(this.#host(fault.who).process)?.source?.loseContinuity();
        return undefined;
    }
  }

  #host(who: Who): SimMachine {
    const { primary, hosts } = this.#cluster;
    const machine = who === "primary" ? (primary ?? hosts[0]) : hosts[who % hosts.length];
    if (machine === undefined) throw new Error("no hosts");
    return machine;
  }

  #gateway(index: number): SimMachine {
    const machine = this.#cluster.gateways[index % this.#cluster.gateways.length];
    if (machine === undefined) throw new Error("no gateways");
    return machine;
  }

  #others(machine: SimMachine): SimMachine[] {
    return [...this.#cluster.hosts, ...this.#cluster.gateways].filter((other) => other !== machine);
  }

  #vaultPower(who: Who | "none"): () => void {
    const { vault } = this.#cluster;
    vault.losePower();
    vault.trouble = "away";
    const machine = who === "none" ? undefined : this.#host(who);
    if (machine !== undefined) this.#cluster.losePower(machine);
    return () => {
      vault.trouble = "none";
      if (machine !== undefined) this.#cluster.startHost(machine);
    };
  }

  /** Waits for a host that enters the state, and gives up in the end. The hit is over when its own time is. */
  #strike({ role, how, afterMs, forMs }: Fault & { kind: "strike" }): undefined {
    const isInRole = ({ process }: SimMachine): boolean =>
      process?.state === "running" && hostOf(process)?.host.status().role === role;
    const giveUpAt = this.#world.now + strikeWaitMsMax;
    let isHit = false;
    const hit = (machine: SimMachine): void => {
      if (isHit || this.#isOver || !isInRole(machine)) return;
      isHit = true;
      leave();
      this.#world.say("FAULT", `${how} of ${machine.name}, which is ${role}, for ${forMs} ms`);
      if (how === "kill") this.#cluster.kill(machine);
      if (how === "power") this.#cluster.losePower(machine);
      const undo =
        how === "freeze" ? this.#freeze(machine, false) : how === "restart" ? this.#restart(machine) : undefined;
      this.#world.after(forMs, "strike over", () => {
        if (this.#isOver) return;
        if (undo === undefined) this.#cluster.startHost(machine);
        else undo();
      });
    };
    // Never at once: what is told here is told in the middle of the host's own code.
    const aim = (machine: SimMachine): void => void this.#world.after(afterMs, "strike", () => hit(machine));
    const leave = this.#cluster.watchTransitions((machine) => {
      if (isHit || this.#isOver || this.#world.now > giveUpAt) return leave();
      if (isInRole(machine)) aim(machine);
    });
    for (const machine of this.#cluster.hosts) if (isInRole(machine)) aim(machine);
    return undefined;
  }

  #freeze(machine: SimMachine, withApplication: boolean): () => void {
    const process = machine.process;
    const application = withApplication ? hostOf(process)?.application?.process : undefined;
    process?.freeze();
    application?.freeze();
    return () => {
      application?.thaw();
      process?.thaw();
    };
  }

  #cutOff(machine: SimMachine, from: readonly SimMachine[], direction: Direction): () => void {
    const { network } = this.#cluster;
    const links = from.flatMap((other): [string, string][] => {
      const inward: [string, string] = [other.name, machine.name];
      const outward: [string, string] = [machine.name, other.name];
      return direction === "in" ? [inward] : direction === "out" ? [outward] : [inward, outward];
    });
    for (const [a, b] of links) network.cut(a, b);
    return () => {
      for (const [a, b] of links) network.mend(a, b);
    };
  }

  #flap(machine: SimMachine, periodMs: number): () => void {
    let isOver = false;
    let mend: (() => void) | undefined;
    const turn = (): void => {
      if (isOver || this.#isOver) return;
      if (mend === undefined) mend = this.#cutOff(machine, this.#others(machine), "both");
      else {
        mend();
        mend = undefined;
      }
      this.#world.after(periodMs, "flap", turn);
    };
    turn();
    return () => {
      isOver = true;
      mend?.();
    };
  }

  #slow(machine: SimMachine, factor: number): () => void {
    const all = (by: number): void => {
      for (const other of this.#others(machine)) {
        this.#cluster.network.slowDown(machine.name, other.name, by);
        this.#cluster.network.slowDown(other.name, machine.name, by);
      }
    };
    all(factor);
    return () => all(1);
  }

  #vault(
    who: Who | "all",
    trouble: Fault extends infer F ? (F extends { trouble: infer T } ? T : never) : never,
  ): () => void {
    const { vault } = this.#cluster;
    if (who === "all") {
      vault.trouble = trouble;
      return () => {
        vault.trouble = "none";
      };
    }
    const { name } = this.#host(who);
    vault.troubles.set(name, trouble);
    return () => void vault.troubles.delete(name);
  }

  #command(machine: SimMachine, command: Command): void {
    machine.process?.enter(() => gatewayOf(machine.process)?.command(command));
  }

  /** A planned stop; a process that does not end in time is killed, as a service manager would. */
  #restart(machine: SimMachine): () => void {
    const process = machine.process;
    const host = hostOf(process)?.host;
    process?.enter(() => {
      const stopped = (): void => {
        this.#world.say(machine.name, "has stopped");
        process.kill("crash");
        if (this.#isOver) this.#cluster.startHost(machine);
      };
      host?.close("restart").then(stopped, stopped);
    });
    return () => {
      process?.kill("crash");
      this.#cluster.startHost(machine);
    };
  }
}
