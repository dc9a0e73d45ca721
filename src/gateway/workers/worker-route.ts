/**
 * One service's route on all workers: each decision goes to all of them, and is kept so that a worker that starts later
 * gets the same state.
 */
import type { Maintenance } from "../../http/proxy/route.ts";
import type { HeardOfHost } from "../../http/upstream/upstream.ts";
import type { RouteHooks, ServiceRoute } from "../route/service-route.ts";
import type { ToWorker } from "./messages.ts";

type RouteMessage = Extract<ToWorker, { route: number }>;

export interface WorkerRouteOptions {
  readonly id: number;
  readonly service: string;
  readonly hooks: RouteHooks;
  /** To all workers. */
  send(message: RouteMessage): void;
  waiting(id: number): ServiceRoute["waiting"];
  onClose(id: number): void;
}

export class WorkerRoute implements ServiceRoute {
  readonly service: string;
  readonly hooks: RouteHooks;
  readonly id: number;
  readonly #options: WorkerRouteOptions;
  #active: Extract<ToWorker, { kind: "route" }> | undefined;
  /** The last message since the route. */
  #after: "hold" | "wait-for-port" | undefined;
  #isDoubted = true;
  #maintained: Extract<ToWorker, { kind: "maintain" }> | undefined;

  constructor(options: WorkerRouteOptions) {
    this.#options = options;
    this.id = options.id;
    this.service = options.service;
    this.hooks = options.hooks;
  }

  get host(): string | undefined {
    return this.#active?.host;
  }

  get waiting(): ServiceRoute["waiting"] {
    return this.#options.waiting(this.id);
  }

  /** The messages for a worker that has just started. */
  get history(): readonly RouteMessage[] {
    return [
      ...(this.#active === undefined ? [] : [this.#active]),
      ...(this.#active === undefined || this.#after === undefined ? [] : [{ kind: this.#after, route: this.id }]),
      { kind: "doubt", route: this.id, isDoubted: this.#isDoubted },
      ...(this.#maintained === undefined ? [] : [this.#maintained]),
    ];
  }

  route(host: string, dataUrl: string, epoch: number | undefined, heard?: HeardOfHost): void {
    const active = { kind: "route", route: this.id, host, dataUrl, epoch, heard } as const;
    this.#active = active;
    this.#after = undefined;
    this.#options.send(active);
  }

  heard(epoch: number, heard: HeardOfHost): void {
    if (this.#active?.epoch !== epoch) return;
    this.#active = { ...this.#active, heard };
    this.#options.send({ kind: "heard", route: this.id, epoch, heard });
  }

  doubt(isDoubted: boolean): void {
    this.#isDoubted = isDoubted;
    this.#options.send({ kind: "doubt", route: this.id, isDoubted });
  }

  holdRequests(): void {
    this.#after = "hold";
    this.#options.send({ kind: "hold", route: this.id });
  }

  abortHost(host: string, reason: string): void {
    if (this.#active?.host !== host) return;
    this.#active = undefined;
    this.#options.send({ kind: "drop", route: this.id, host, reason });
  }

  waitForPort(): void {
    if (this.#active === undefined || this.#after === "hold") return;
    this.#after = "wait-for-port";
    this.#options.send({ kind: "wait-for-port", route: this.id });
  }

  maintain(maintenance: Maintenance | undefined): void {
    const isOn = maintenance !== undefined;
    const message = { kind: "maintain", route: this.id, isOn, untilMs: maintenance?.untilMs } as const;
    this.#maintained = isOn ? message : undefined;
    this.#options.send(message);
  }

  close(): void {
    this.#active = undefined;
    this.#options.send({ kind: "close", route: this.id });
    this.#options.onClose(this.id);
  }
}
