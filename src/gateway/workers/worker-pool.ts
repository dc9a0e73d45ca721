/**
 * The data plane in several processes. The listening sockets are opened here and inherited by all of them: they accept
 * from one queue each, so a worker that ends loses only what it had accepted, and a hung one gets no more. One socket
 * per worker (SO_REUSEPORT) would be worse: Linux resets what waits in the queue of a socket that is closed.
 */
import { closeSync } from "node:fs";
import { addressesOf } from "../../config/further-listener.ts";
import type { CloseOptions } from "../../http/server/server.ts";
import { listenOn } from "../../http/server/listen.ts";
import { addDelta } from "../../metrics/deltas.ts";
import { duplicateDescriptor } from "../../runtime/descriptors.ts";
import { OperatorError, type OperatorErrorText } from "../../runtime/operator-error.ts";
import { systemTcp } from "../../runtime/tcp/system-tcp.ts";
import type { DataPlane, DataPlaneDeps, WorkerStatus } from "../route/data-plane.ts";
import type { DataPlaneSettings } from "../route/listener.ts";
import type { TracedRequest } from "../../http/proxy/request-trace.ts";
import type { RouteHooks } from "../route/service-route.ts";
import type { FromWorker, ToWorker, WorkerSettings } from "./messages.ts";
import { WorkerRoute } from "./worker-route.ts";
import { shareOf } from "./share.ts";
import { WorkerProcess } from "./worker-process.ts";

export interface WorkerPoolOptions extends DataPlaneDeps {
  readonly count: number;
  /** Program and arguments; the worker's number is added. */
  readonly command: readonly [string, ...string[]];
  /** Called in a worker that has lost its control plane. */
  readonly drainMs: () => number;
  /** A worker ended without being told to, and is replaced. */
  onLost(detail: string): void;
}

const workerAdvice = "read what the worker wrote above";

/** A worker cannot serve at all; includes its own message. */
export class WorkerStartError extends OperatorError {
  constructor(said: OperatorErrorText) {
    super("resource", said);
  }
}

export class WorkerPool implements DataPlane {
  readonly server = undefined;
  readonly #options: WorkerPoolOptions;
  readonly #routes = new Map<number, WorkerRoute>();
  #processes: readonly WorkerProcess[] = [];
  #lastRoute = 0;
  #descriptors: readonly number[] = [];
  #port = 0;
  #onStart: { resolve(): void; reject(error: Error): void } | undefined = undefined;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#port;
  }

  get descriptors(): readonly number[] {
    return this.#descriptors;
  }

  get connections(): number {
    return this.#processes.reduce((sum, { status }) => sum + status.connections, 0);
  }

  get workers(): readonly WorkerStatus[] {
    return this.#processes.map(({ status }) => status);
  }

  get warnings(): readonly string[] {
    return [
      ...new Set(
        this.#processes.flatMap(({ report, warning }) => [
          ...(report?.troubles ?? []),
          ...(warning === undefined ? [] : [warning]),
        ]),
      ),
    ];
  }

  route(service: string, hooks: RouteHooks): WorkerRoute {
    const id = ++this.#lastRoute;
    const route = new WorkerRoute({
      ...{ id, service, hooks },
      send: (message) => this.#tellAll(message),
      waiting: () => this.#waiting(id),
      onClose: () => this.#routes.delete(id),
    });
    this.#routes.set(id, route);
    return route;
  }

  reconfigure(): void {
    this.#tellAll(this.#settingsMessage());
  }

  async listen(descriptors?: readonly number[]): Promise<void> {
    this.#port = this.#options.settings().listen.port;
    this.#descriptors = descriptors ?? (await this.#open());
    const started = new Promise<void>((resolve, reject) => (this.#onStart = { resolve, reject }));
    const { command, clock, log, count } = this.#options;
    const onLost = (detail: string): void => {
      this.#onStart?.reject(new WorkerStartError({ found: detail, advice: workerAdvice }));
      this.#options.onLost(detail);
    };
    this.#processes = Array.from(
      { length: count },
      (_, index) =>
        new WorkerProcess({
          ...{ number: index + 1, command, descriptors: this.#descriptors, clock, log, onLost },
          greeting: () => [this.#settingsMessage(), ...[...this.#routes.values()].flatMap(({ history }) => history)],
          onMessage: (message) => this.#heard(message),
        }),
    );
    await started;
  }

  async close({ drainMs, idle = "close" }: CloseOptions): Promise<void> {
    // First: once no process accepts connections they must be refused, not wait in the queue of a socket that is still
    // open here.
    for (const descriptor of this.#descriptors) closeSync(descriptor);
    this.#descriptors = [];
    await Promise.all(this.#processes.map((process) => process.stop(drainMs, idle)));
  }

  /** Opened by the event loop, but kept as descriptors that the loop does not know: nothing is accepted here. */
  async #open(): Promise<readonly number[]> {
    const opened: number[] = [];
    try {
      for (const { host, port } of addressesOf(this.#options.settings())) {
        const listener = await listenOn(systemTcp, { host, port }, (socket) => socket.destroy());
        try {
          if (opened.length === 0) this.#port = listener.port;
          opened.push(await duplicateDescriptor(listener.descriptor));
        } finally {
          listener.close();
        }
      }
    } catch (error) {
      for (const descriptor of opened) closeSync(descriptor);
      throw error;
    }
    return opened;
  }

  #settingsMessage(): ToWorker {
    const { count, drainMs, settings } = this.#options;
    const { id, cluster, listen, limits, hold, dataPlane, services, ...shared } = shareOf(settings(), count);
    const { replayAgainMax, replayWrites, replaySpool, answerWholeBytesMax, clientHalfClose } = shared;
    const routed = services.flatMap(({ name, match, firstByte, maintenance, ...own }): WorkerSettings["services"] => {
      const route = [...this.#routes.values()].findLast((each) => each.service === name);
      return route === undefined
        ? []
        : [
            {
              name,
              match,
              maintenance,
              isKeyed: own.isKeyed,
              replayWrites: own.replayWrites,
              firstByte: firstByte.map((each) => ({ ...each })),
              route: route.id,
              isTraced: route.hooks.onTraced !== undefined,
            },
          ];
    });
    const { host, port } = listen;
    return {
      kind: "settings",
      settings: {
        listen: { host, port: this.#port === 0 ? port : this.#port },
        id,
        cluster,
        limits,
        hold,
        replayAgainMax,
        replayWrites,
        replaySpool: { ...replaySpool },
        answerWholeBytesMax,
        clientHalfClose,
        drainMs: drainMs(),
        dataPlane: copyOf(dataPlane),
        services: routed,
      },
    };
  }

  #tellAll(message: ToWorker): void {
    for (const process of this.#processes) process.send(message);
  }

  #heard(message: FromWorker): void {
    switch (message.kind) {
      case "listening":
        if (this.#processes.every(({ status }) => status.state === "serving")) this.#onStart?.resolve();
        return;
      case "failed":
        this.#onStart?.reject(new WorkerStartError({ ...message, advice: message.advice ?? workerAdvice }));
        return;
      case "report":
        for (const delta of message.metrics) addDelta(this.#options.metrics, delta);
        for (const { route, ended, traced } of message.routes) {
          const hooks = this.#routes.get(route)?.hooks;
          for (const request of traced) hooks?.onTraced?.({ ...request, steps: request.steps.map(withWhy) });
          for (const { end, held, replayed, count } of ended) hooks?.onDone(end, held, replayed ? 1 : 0, count);
        }
        return;
      case "connection-error": {
        const route = this.#routes.get(message.route);
        if (route?.host === message.host) route.hooks.onConnectionError(message.host, message.cause);
        return;
      }
    }
  }

  #waiting(id: number): { requests: number; bytes: number } {
    const each = this.#processes.flatMap(({ report }) => report?.routes.filter(({ route }) => route === id) ?? []);
    return {
      requests: each.reduce((sum, { requests }) => sum + requests, 0),
      bytes: each.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }
}

type ReportedStep =
  | TracedRequest["steps"][number]
  | (Omit<TracedRequest["steps"][number], "why"> & { why?: undefined });
/** JSON leaves out what is undefined. */
const withWhy = (step: ReportedStep): TracedRequest["steps"][number] => ({ ...step, why: step.why });

/** Messages have no read-only types. */
const copyOf = (dataPlane: DataPlaneSettings["dataPlane"]): WorkerSettings["dataPlane"] =>
  structuredClone(dataPlane) as WorkerSettings["dataPlane"];
