/**
 * The process that was started as `stead gateway`, and its upgrade (SIGUSR2): it starts the binary at its own path,
 * hands over, finishes its requests, and stays as the keeper of the serving process. Its process id, which a service
 * manager or a container knows, thus stays the same through any number of upgrades.
 *
 * No connection is refused or reset, because no listening socket is ever closed: the new process inherits all. Both
 * accept from the one queue of each until the old one stops, and closing one descriptor of a shared socket removes
 * nothing from the queue. (With one socket per process, SO_REUSEPORT, Linux resets what waits in the queue of the
 * socket that closes, and handshakes that it had begun, unless net.ipv4.tcp_migrate_req is set.) Kept-alive
 * connections get one more response, with `Connection: close`: a client that had the head of its last answer before
 * the drain was not told that the connection ends.
 *
 * There is one control plane at any time: the old one has closed its database, its admin listener and its links to
 * peers before the new one opens them, and orders nothing from then on; it still follows the primary that hosts report,
 * for its remaining requests. If the new process cannot begin, it is killed, and the old one takes everything back.
 */
import { duplicateDescriptors } from "../../runtime/descriptors.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { GatewayProcess } from "../gateway-process.ts";
import { SuccessorProcess, UpgradeError } from "./successor-process.ts";

export interface KeeperOptions {
  readonly run: GatewayProcess;
  readonly gateway: string;
  /** The configured addresses for clients. */
  readonly listen: string;
  /** Program and arguments of a process that takes over. */
  readonly command: readonly [string, ...string[]];
  readonly clock: Clock;
  readonly log: Logger;
}

export class Keeper {
  /** Resolves, with how it ended, if a process that had taken over ended unexpectedly. */
  readonly lost: Promise<string>;
  readonly #options: KeeperOptions;
  #successor: SuccessorProcess | undefined;
  #descriptors: readonly number[] | undefined;
  #isUpgrading = false;
  #isStopping = false;
  #onLost: (how: string) => void = () => undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.lost = new Promise((resolve) => (this.#onLost = resolve));
  }

  /** Never rejects for an operator's mistake: the failure is reported, and the serving process continues. */
  async upgrade(): Promise<void> {
    const { log } = this.#options;
    if (this.#isUpgrading || this.#isStopping) {
      log.warn("not upgraded: the previous upgrade is not over, its old process is still finishing its requests");
      return;
    }
    this.#isUpgrading = true;
    try {
      await this.#replace();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      log.error(`not upgraded, the old process continues: ${messageOf(error)}`);
    } finally {
      this.#isUpgrading = false;
    }
  }

  reload(): void {
    if (this.#successor === undefined) this.#options.run.reloadNow();
    else this.#successor.reload();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await (this.#successor ?? this.#options.run).stop();
  }

  async #replace(): Promise<void> {
    const { command, clock, log, run } = this.#options;
    const before = this.#successor ?? run;
    this.#descriptors ??= await duplicateDescriptors(run.descriptors);
    log.info("upgrading: starting the new process");
    const successor = new SuccessorProcess(command, this.#descriptors, clock);
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
      (how) => this.#successor === successor && !this.#isStopping && this.#onLost(how),
      () => undefined,
    );
    log.info("upgraded: the new process serves, the previous one finishes its requests", {
      pid: successor.pid,
      version,
    });
    if (this.#isStopping) await successor.stop();
    await before.drain();
    log.info("upgraded: the previous process is done");
  }

  #check({ gateway, listen }: { readonly gateway: string; readonly listen: string }): void {
    const { gateway: ownId, listen: ownListen } = this.#options;
    if (gateway !== ownId)
      throw new UpgradeError(`the configuration now has gateway.id = "${gateway}", this is ${ownId}`, "restart it");
    if (listen !== ownListen)
      throw new UpgradeError(
        `the configuration now has the addresses ${listen}, this gateway listens on ${ownListen}`,
        "restart it",
      );
  }
}
