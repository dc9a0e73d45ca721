/**
 * A gateway with its configuration file, as run by a process: started, reloaded, stopped, or replaced by another
 * process that has its listening socket (upgrade/keeper.ts).
 */
import type { ConfigResult, GatewayConfig } from "../config/types.ts";
import { duplicateDescriptors } from "../runtime/descriptors.ts";
import { ConfigWatch } from "./config-watch.ts";
import { Gateway, type GatewayDeps } from "./gateway.ts";

export interface GatewayProcessOptions extends GatewayDeps {
  readonly config: GatewayConfig;
  /** Absolute. */
  readonly configFile: string;
  /** Reads the file. */
  readonly load: () => ConfigResult;
  /** Listening sockets that were inherited. */
  readonly descriptors?: readonly number[];
}

/** The serving process, as its successor sees it. The steps come in this order. */
export interface Incumbent {
  /**
   * Frees the database, the admin listener and the name among peers for another process; continues to serve clients.
   */
  handOver(): Promise<void>;
  /** The takeover failed: takes everything back. */
  resume(): Promise<void>;
  /** The successor took over: accepts nothing more, finishes the requests in progress, and ends. */
  drain(): Promise<void>;
}

export class GatewayProcess implements Incumbent {
  readonly #options: GatewayProcessOptions;
  #gateway: Gateway;
  #watch: ConfigWatch;
  #isHandedOver = false;

  /** Throws what `Gateway.start` throws. */
  static async start(options: GatewayProcessOptions): Promise<GatewayProcess> {
    const gateway = await Gateway.start(options.config, options, options.descriptors);
    return new GatewayProcess(options, gateway, await startWatch(options, gateway));
  }

  private constructor(options: GatewayProcessOptions, gateway: Gateway, watch: ConfigWatch) {
    this.#options = options;
    this.#gateway = gateway;
    this.#watch = watch;
    this.#sayServing();
  }

  /** Descriptors of the sockets for clients. */
  get descriptors(): readonly number[] {
    return this.#gateway.descriptors;
  }

  get port(): number {
    return this.#gateway.port;
  }

  get adminPort(): number {
    return this.#gateway.adminPort;
  }

  /** Returns the data plane as a Hono app (route/proxy-app.ts). */
  proxyApp(clientOf: Parameters<Gateway["proxyApp"]>[0]): ReturnType<Gateway["proxyApp"]> {
    return this.#gateway.proxyApp(clientOf);
  }

  reloadNow(): void {
    if (!this.#isHandedOver) this.#watch.reloadNow();
  }

  async handOver(): Promise<void> {
    this.#isHandedOver = true;
    await this.#watch.close();
    await this.#gateway.handOver();
  }

  async resume(): Promise<void> {
    const before = this.#gateway;
    const { config } = before;
    this.#gateway = await Gateway.start(config, this.#options, await duplicateDescriptors(before.descriptors));
    this.#watch = await startWatch(this.#options, this.#gateway);
    this.#isHandedOver = false;
    this.#sayServing();
    await before.drain();
  }

  drain(): Promise<void> {
    return this.#gateway.drain();
  }

  async stop(): Promise<void> {
    if (this.#isHandedOver) return this.drain();
    await this.#watch.close();
    await this.#gateway.close(this.#gateway.config.drainTimeoutMs);
  }

  #sayServing(): void {
    const { listen, adminListen } = this.#gateway.config;
    this.#options.log.info(
      `serving on ${listen.host}:${this.#gateway.port}, administration on ${adminListen.host}:${this.#gateway.adminPort}`,
    );
  }
}

function startWatch(
  { configFile: file, load, clock, log }: GatewayProcessOptions,
  gateway: Gateway,
): Promise<ConfigWatch> {
  return ConfigWatch.start({ file, load, gateway, clock, log });
}
