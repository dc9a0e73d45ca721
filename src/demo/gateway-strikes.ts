/**
 * What the demo does to gateways during an event at a primary: one is killed with SIGKILL and restarted.
 *
 * `acting`: the gateway in the middle of a failover, as soon as it reports that it is promoting a host. `beside`: a
 * random one, at the moment of the event. At the end one comes back with an empty database (`emptied`) and must get
 * everything it had known from its peers.
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../runtime/clock.ts";
import type { Cluster, GatewayMember } from "../../harness/cluster.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { GatewayFleet } from "../../harness/gateway-fleet.ts";
import type { ServiceView } from "../../harness/gateway-view.ts";

export type StrikeKind = "acting" | "beside";

export interface StrikeOptions {
  readonly cluster: Cluster;
  readonly fleet: GatewayFleet;
  readonly clock: Clock;
  readonly dice: SeededRandom;
  readonly signal: AbortSignal;
  say(text: string): void;
}

const lookEveryMs = 3;
/** How long to wait for a gateway that is acting; without one, the failover was over before it was seen. */
const actingWithinMs = 10_000;
const restartAfterMs = 300;
const backWithinMs = 30_000;

export class GatewayStrikes {
  readonly #options: StrikeOptions;
  #inTheMiddle = 0;

  constructor(options: StrikeOptions) {
    this.#options = options;
  }

  /** How often a gateway was killed before its chosen candidate was primary. */
  get inTheMiddle(): number {
    return this.#inTheMiddle;
  }

  /** Resolves once the struck gateway serves again. Call when the event begins. */
  async during(kind: StrikeKind): Promise<void> {
    const struck = kind === "acting" ? await this.#strikeActing() : await this.#strikeBeside();
    if (struck !== undefined) await this.#bringBack(struck);
  }

  /** Kills one gateway and starts it with an empty database; resolves with the start time once the process exists. */
  async emptied(): Promise<number> {
    const { cluster, clock, say } = this.#options;
    const gateway = this.#drawn(0);
    this.#kill(gateway, await this.#options.fleet.viewOf(gateway).service());
    await gateway.process?.ended;
    for (const name of readdirSync(gateway.folder)) {
      if (name.startsWith("gateway.db")) rmSync(join(gateway.folder, name), { recursive: true });
    }
    say(`${gateway.id} killed, and its database deleted; it comes back with nothing`);
    const startedAt = clock.now();
    await cluster.start(gateway);
    this.#options.fleet.isBack(gateway);
    return startedAt;
  }

  async #strikeBeside(): Promise<GatewayMember> {
    const gateway = this.#drawn(1);
    const last = await this.#options.fleet.viewOf(gateway).service();
    this.#kill(gateway, last);
    this.#options.say(`SIGKILL to ${gateway.id} at the same time`);
    return gateway;
  }

  async #strikeActing(): Promise<GatewayMember | undefined> {
    const { fleet, cluster, clock, signal, say } = this.#options;
    const before = (await cluster.primary())?.host;
    const until = clock.now() + actingWithinMs;
    while (clock.now() < until) {
      const looked = await Promise.all(
        fleet.living.map(async (gateway) => ({ gateway, view: await fleet.viewOf(gateway).service() })),
      );
      const acting = looked.find(({ view }) => view.phase === "promoting");
      if (acting !== undefined) {
        this.#kill(acting.gateway, acting.view);
        const primary = (await cluster.primary())?.host;
        const isMiddle = primary === undefined || primary === before;
        if (isMiddle) this.#inTheMiddle += 1;
        say(
          `SIGKILL to ${acting.gateway.id}, the acting gateway${isMiddle ? ": no host is primary yet" : "; too late, its candidate is already primary"}`,
        );
        return acting.gateway;
      }
      await clock.sleep(lookEveryMs, signal);
    }
    say("no gateway was seen acting: none was killed");
    return undefined;
  }

  /** `spared`: the first ones stay, because a switchover is ordered through them. */
  #drawn(spared: number): GatewayMember {
    const { fleet, dice } = this.#options;
    const gateway = dice.shuffled(fleet.living.slice(spared))[0];
    if (gateway === undefined) throw new Error("no gateway lives");
    return gateway;
  }

  #kill(gateway: GatewayMember, last: ServiceView): void {
    gateway.process?.signal("SIGKILL");
    this.#options.fleet.leaves(gateway, last);
  }

  async #bringBack(gateway: GatewayMember): Promise<void> {
    const { cluster, fleet, clock, signal } = this.#options;
    await gateway.process?.ended;
    await clock.sleep(restartAfterMs, signal);
    await cluster.start(gateway);
    await cluster.until(
      `${gateway.id} to serve again`,
      backWithinMs,
      signal,
      () => "it does not",
      async () => {
        return (await fleet
          .viewOf(gateway)
          .isServing()
          .catch(() => false))
          ? true
          : undefined;
      },
    );
    fleet.isBack(gateway);
  }
}
