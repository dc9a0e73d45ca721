/**
 * A worker process: the data plane of one gateway on inherited listening sockets, without any decision of its own.
 * Messages tell it where requests go (messages.ts); it reports their outcomes.
 *
 * Without its control plane it would not hear of a failover, and its port must be free for a restarted gateway: it
 * therefore accepts nothing more, finishes the requests in progress, and ends. A gateway whose control plane died is a
 * dead gateway, with workers as without.
 */
import type { Readable, Writable } from "node:stream";
import { addressesOf } from "../../config/further-listener.ts";
import type { CloseOptions } from "../../http/server/server.ts";
import { ClusterTls } from "../../control/tls/cluster-tls.ts";
import { DeltaMetrics } from "../../metrics/deltas.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { inheritedDescriptors } from "../../runtime/descriptors.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import type { Logger } from "../../runtime/log.ts";
import { LocalDataPlane } from "../route/data-plane.ts";
import type { TracedRequest } from "../../http/proxy/request-trace.ts";
import type { RouteHooks } from "../route/service-route.ts";
import type { LocalRoute } from "../route/local-route.ts";
import { readMessages, sendMessage } from "./line-channel.ts";
import {
  reportIdleMs,
  reportMs,
  tracedMax,
  toWorkerSchema,
  type EndedRequest,
  type FromWorker,
  type ToWorker,
  type WorkerSettings,
} from "./messages.ts";

export interface WorkerOptions {
  readonly input: Readable;
  readonly output: Writable;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Serves until it is told to end, or its control plane is gone. */
export function runWorker(options: WorkerOptions): Promise<void> {
  return new Promise((resolve) => {
    const worker = new Worker(options, resolve);
    readMessages(options.input, toWorkerSchema, {
      onMessage: (message) => worker.take(message),
      onEnd: (why) => worker.orphaned(why),
    });
  });
}

interface Route {
  readonly target: LocalRoute;
  readonly ended: Map<string, EndedRequest>;
  readonly traced: TracedRequest[];
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #onEnd: () => void;
  readonly #routes = new Map<number, Route>();
  readonly #metrics = new DeltaMetrics();
  #settings: WorkerSettings | undefined;
  #plane: LocalDataPlane | undefined;
  #timer: Timer | undefined;
  #timerIsFor: "idle" | "news" = "idle";
  #isEnding = false;

  constructor(options: WorkerOptions, onEnd: () => void) {
    this.#options = options;
    this.#onEnd = onEnd;
  }

  take(message: ToWorker): void {
    switch (message.kind) {
      case "settings":
        return this.#reconfigure(message.settings);
      case "route":
        return this.#routes
          .get(message.route)
          ?.target.route(message.host, message.dataUrl, message.epoch, message.heard);
      case "heard":
        return this.#routes.get(message.route)?.target.heard(message.epoch, message.heard);
      case "doubt":
        return this.#routes.get(message.route)?.target.doubt(message.isDoubted);
      case "hold":
        return this.#routes.get(message.route)?.target.holdRequests();
      case "drop":
        return this.#routes.get(message.route)?.target.abortHost(message.host, message.reason);
      case "wait-for-port":
        return this.#routes.get(message.route)?.target.waitForPort();
      case "maintain":
        return this.#routes
          .get(message.route)
          ?.target.maintain(message.isOn ? { untilMs: message.untilMs } : undefined);
      case "close":
        this.#routes.get(message.route)?.target.close();
        this.#routes.delete(message.route);
        return;
      case "drain":
        return this.#close(message);
    }
  }

  orphaned(why: string | undefined): void {
    if (this.#isEnding) return;
    this.#options.log.warn(
      "the control plane is gone: finishing the requests in progress",
      why === undefined ? {} : { why },
    );
    this.#close({ drainMs: this.#settings?.drainMs ?? 0, idle: "close" });
  }

  #reconfigure(settings: WorkerSettings): void {
    const isFirst = this.#settings === undefined;
    this.#settings = settings;
    const { clock, log } = this.#options;
    const plane = (this.#plane ??= new LocalDataPlane({
      settings: () => this.#settings ?? settings,
      clock,
      log,
      metrics: this.#metrics,
      tls: this.#openTls(settings),
    }));
    for (const { name, route, isTraced } of settings.services) {
      if (this.#routes.has(route)) continue;
      const ended = new Map<string, EndedRequest>();
      const traced: TracedRequest[] = [];
      const hooks = { ...this.#hooks(route, ended), onTraced: isTraced ? this.#onTraced(traced) : undefined };
      this.#routes.set(route, { target: plane.route(name, hooks), ended, traced });
    }
    plane.reconfigure();
    if (isFirst) this.#listen(plane, settings);
  }

  /** Its own copy of the files, which it looks at itself. */
  #openTls({ id, cluster }: WorkerSettings): ClusterTls | undefined {
    const { clock, log } = this.#options;
    const { name, tls: config } = cluster;
    if (config === undefined) return undefined;
    return new ClusterTls({ config, cluster: name, self: [{ role: "gateway", id }], clock, log }).watch();
  }

  #listen(plane: LocalDataPlane, settings: WorkerSettings): void {
    plane.listen(inheritedDescriptors(addressesOf(settings).length)).then(
      () => {
        this.#send({ kind: "listening" });
        this.#report();
      },
      (error: unknown) => {
        this.#send({
          kind: "failed",
          ...(error instanceof OperatorError
            ? { found: error.found, accepted: error.accepted, advice: error.advice }
            : { found: messageOf(error) }),
        });
        this.#close({ drainMs: 0 });
      },
    );
  }

  #hooks(route: number, ended: Map<string, EndedRequest>): RouteHooks {
    return {
      onDone: (end, held, replays, count) => {
        const key = `${end} ${held} ${replays > 0}`;
        ended.set(key, { end, held, replayed: replays > 0, count: (ended.get(key)?.count ?? 0) + count });
        this.#reportSoon();
      },
      onConnectionError: (host, cause) => this.#send({ kind: "connection-error", route, host, cause }),
    };
  }

  #onTraced(traced: TracedRequest[]): (request: TracedRequest) => void {
    return (request) => {
      if (traced.length < tracedMax) traced.push(request);
      this.#reportSoon();
    };
  }

  #reportSoon(): void {
    if (this.#timerIsFor === "news" && this.#timer !== undefined) return;
    this.#timer?.cancel();
    this.#timerIsFor = "news";
    this.#timer = this.#options.clock.setTimer(reportMs, () => this.#report());
  }

  #report(): void {
    this.#timer?.cancel();
    const plane = this.#plane;
    if (plane === undefined) return;
    const routes = [...this.#routes].map(([route, { target, ended, traced }]) => {
      const told = [...ended.values()];
      ended.clear();
      const steps = traced.splice(0).map((request) => ({ ...request, steps: [...request.steps] }));
      return { route, ...target.waiting, ended: told, traced: steps };
    });
    this.#send({
      kind: "report",
      connections: plane.connections,
      troubles: [...plane.warnings],
      metrics: this.#metrics.take(),
      routes,
    });
    this.#timerIsFor = "idle";
    this.#timer = this.#options.clock.setTimer(reportIdleMs, () => this.#report());
  }

  #send(message: FromWorker): void {
    sendMessage(this.#options.output, message);
  }

  #close(options: CloseOptions): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const closed = this.#plane?.close(options) ?? Promise.resolve();
    closed.then(
      () => {
        for (const { target } of this.#routes.values()) target.close();
        this.#report();
        this.#timer?.cancel();
        this.#onEnd();
      },
      (error: unknown) => {
        this.#options.log.error("closing failed", { why: String(error) });
        this.#onEnd();
      },
    );
  }
}
