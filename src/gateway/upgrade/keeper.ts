/**
 * The process that was started as `stead gateway`, and what becomes of it when it is told to upgrade (SIGUSR2): it
 * starts the binary at its own path anew, hands over, finishes its requests, and stays as the keeper of the one that
 * serves. So its process id, which a service manager or a container knows, stays the same through any number of
 * upgrades.
 *
 * No connection is refused or reset, because the listening socket is never closed: the new process inherits it. Both
 * accept from its one queue until the old one stops, and closing a descriptor of a socket that others have takes
 * nothing out of the queue. (With a socket for each process, SO_REUSEPORT, Linux resets what waits in the queue of the
 * one that closes, and handshakes that it had begun, unless net.ipv4.tcp_migrate_req is set.) Connections that are kept
 * alive get one more answer, with `Connection: close`.
 *
 * There is one control plane at any time: the old one has closed its database, its admin listener and its links to
 * peers before the new one opens them, and orders nothing from then on; where hosts say that the primary is, it goes on
 * to follow for the requests that it still has. A new process that cannot begin is killed, and the old one has
 * everything again.
 */
import { duplicateDescriptor } from "../../runtime/descriptors.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { GatewayRun } from "../gateway-run.ts";
import { SuccessorProcess, UpgradeError } from "./successor-process.ts";

export interface KeeperOptions {
  readonly run: GatewayRun;
  readonly gateway: string;
  /** The address that clients come in by, as the configuration has it. */
  readonly listen: string;
  /** Program and arguments of a process that takes over. */
  readonly command: readonly [string, ...string[]];
  readonly clock: Clock;
  readonly log: Logger;
}

export class Keeper {
  /** Resolves, with how it ended, when a process that had taken over has ended unexpectedly. */
  readonly lost: Promise<string>;
  readonly #options: KeeperOptions;
  #successor: SuccessorProcess | undefined;
  #descriptor: number | undefined;
  #upgrading = false;
  #stopping = false;
  #onLost: (how: string) => void = () => undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.lost = new Promise((resolve) => (this.#onLost = resolve));
  }

  /** Never rejects for what an operator can cause: it is said, and the one that serves goes on. */
  async upgrade(): Promise<void> {
    const { log } = this.#options;
    if (this.#upgrading || this.#stopping) {
      log.warn("not upgraded: the previous upgrade is not over, its old process is still finishing its requests");
      return;
    }
    this.#upgrading = true;
    try {
      await this.#replace();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      log.error(`not upgraded, the old process continues: ${messageOf(error)}`);
    } finally {
      this.#upgrading = false;
    }
  }

  reload(): void {
    if (this.#successor === undefined) this.#options.run.reloadNow();
    else this.#successor.reload();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await (this.#successor ?? this.#options.run).stop();
  }

  async #replace(): Promise<void> {
    const { command, clock, log, run } = this.#options;
    const before = this.#successor ?? run;
    this.#descriptor ??= await duplicateDescriptor(run.descriptor);
    log.info("upgrading: starting the new process");
    const successor = new SuccessorProcess(command, this.#descriptor, clock);
    let version = "";
    try {
      const ready = await successor.ready();
      this.#check(ready);
      version = ready.version;
      await before.handOver();
    } catch (error) {
      await successor.kill();
      throw error;
    }
    try {
      await successor.takeOver();
    } catch (error) {
      await successor.kill();
      await before.resume();
      throw error;
    }
    this.#successor = successor;
    successor.ended.then(
      (how) => this.#successor === successor && !this.#stopping && this.#onLost(how),
      () => undefined,
    );
    log.info("upgraded: the new process serves, the previous one finishes its requests", {
      pid: successor.pid,
      version,
    });
    if (this.#stopping) await successor.stop();
    await before.drain();
    log.info("upgraded: the previous process is done");
  }

  #check({ gateway, listen }: { readonly gateway: string; readonly listen: string }): void {
    const { gateway: ownId, listen: ownListen } = this.#options;
    if (gateway !== ownId)
      throw new UpgradeError(`the configuration now has gateway.id = "${gateway}", this is ${ownId}`, "restart it");
    if (listen !== ownListen)
      throw new UpgradeError(
        `the configuration now has gateway.listen = "${listen}", this gateway listens on ${ownListen}`,
        "restart it",
      );
  }
}
