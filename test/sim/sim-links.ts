/** A gateway's ways to hosts and to its peers: the ports of its control plane, on simulated connections. */
import * as v from "valibot";
import { peerMessageSchema, type PeerMessage, type PeerRefusal } from "../../src/control/peer-api.ts";
import {
  defaultHostClientLimits,
  streamSilenceMs,
  type HostAnswer,
  type StreamEnd,
} from "../../src/control/host-client.ts";
import type { HostStatus } from "../../src/control/host-status.ts";
import type { DemoteEvent, PromoteEvent } from "../../src/control/host-api.ts";
import type { PeerTransport, SyncAnswer } from "../../src/gateway/peers/peer-client.ts";
import type { HostControl } from "../../src/control/host-control.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import { type ConnectionEnd, dial, type Network, type ServerEnd } from "./network.ts";
import { gatewayOf } from "./sim-gateway.ts";
import { hostOf } from "./sim-host.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

export interface LinkPorts {
  readonly network: Network;
  /** The gateway's own process. */
  readonly process: SimProcess;
  readonly dice: SeededRandom;
  readonly to: SimMachine;
}

interface Call<Line> {
  readonly label: string;
  readonly serve: (process: SimProcess, end: ServerEnd<Line>) => void;
  readonly onLine: (line: Line) => void;
  /** Without a line for so long the connection is given up; the first line has its own limit. */
  readonly firstMs: number;
  readonly silenceMs: number;
  readonly signal: AbortSignal | undefined;
}

type End = ConnectionEnd | "timeout";

/** One connection, until it ends one way or the other. */
function call<Line>(
  { network, process, to }: LinkPorts,
  { label, serve, onLine, firstMs, silenceMs, signal }: Call<Line>,
): Promise<End> {
  return new Promise((resolve) => {
    const over = (end: End): void => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      dialled.abort();
      resolve(end);
    };
    const onAbort = (): void => over("aborted");
    let timer = process.clock.setTimer(firstMs, () => over("timeout"));
    const dialled = dial<Line>({
      ...{ network, client: process, from: process.name, to, label, serve },
      onLine: (line) => {
        timer.cancel();
        timer = process.clock.setTimer(silenceMs, () => over("timeout"));
        onLine(line);
      },
      onEnd: over,
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

const failure = (kind: Exclude<End, "ended">): Extract<StreamEnd, { kind: Exclude<End, "ended"> }> => ({
  kind,
  message: kind,
});

/** Like `HostClient`. */
export class SimHostControl implements HostControl {
  readonly #ports: LinkPorts;

  constructor(ports: LinkPorts) {
    this.#ports = ports;
  }

  async status(timeoutMs: number, signal?: AbortSignal, recordFormat?: number): Promise<HostAnswer<HostStatus>> {
    let status: HostStatus | undefined;
    const told = recordFormat === undefined ? undefined : { gateway: this.#ports.process.name, recordFormat };
    const serve = (process: SimProcess, end: ServerEnd<HostStatus>): void => hostOf(process)?.status(end, told);
    const end = await call<HostStatus>(this.#ports, {
      label: "probe",
      serve,
      onLine: (line) => (status = line),
      firstMs: timeoutMs,
      silenceMs: timeoutMs,
      signal,
    });
    if (status !== undefined) return { kind: "ok", value: status };
    return failure(end === "ended" ? "reset" : end);
  }

  async streamStatus(onStatus: (status: HostStatus) => void, signal: AbortSignal): Promise<StreamEnd> {
    const serve = (process: SimProcess, end: ServerEnd<HostStatus>): void => hostOf(process)?.streamStatus(end);
    const end = await call<HostStatus>(this.#ports, {
      label: "stream",
      serve,
      onLine: onStatus,
      firstMs: defaultHostClientLimits.connectTimeoutMs,
      silenceMs: streamSilenceMs,
      signal,
    });
    return end === "ended" ? { kind: "ended" } : failure(end);
  }

  promote(
    request: Parameters<HostControl["promote"]>[0],
    onEvent: (event: PromoteEvent) => void,
    signal: AbortSignal,
  ): Promise<StreamEnd> {
    return this.#order<PromoteEvent>(
      "promote",
      (process, end) => hostOf(process)?.promote(request, end),
      onEvent,
      signal,
    );
  }

  demote(
    request: Parameters<HostControl["demote"]>[0],
    onEvent: (event: DemoteEvent) => void,
    signal: AbortSignal,
  ): Promise<StreamEnd> {
    return this.#order<DemoteEvent>("demote", (process, end) => hostOf(process)?.demote(request, end), onEvent, signal);
  }

  checkpoint(): ReturnType<HostControl["checkpoint"]> {
    return Promise.resolve(failure("timeout"));
  }

  rehearse(): never {
    throw new Error("the simulation rehearses nothing");
  }

  clearSuspects(): never {
    throw new Error("no operator clears anything here");
  }

  async #order<E extends { readonly kind: string }>(
    label: string,
    serve: Call<E>["serve"],
    onEvent: (event: E) => void,
    signal: AbortSignal,
  ): Promise<StreamEnd> {
    const { orderTimeoutMs } = defaultHostClientLimits;
    let last = "";
    const onLine = (event: E): void => {
      last = event.kind;
      onEvent(event);
    };
    const end = await call<E>(this.#ports, {
      label,
      serve,
      onLine,
      firstMs: orderTimeoutMs,
      silenceMs: orderTimeoutMs,
      signal,
    });
    if (end !== "ended") return failure(end);
    return last === "done" || last === "refused" ? { kind: "ended" } : failure("reset");
  }
}

/** Like `PeerClient`: text that the other side checks against the schema. Some requests arrive once more, later. */
export class SimPeer implements PeerTransport {
  readonly #ports: LinkPorts;
  readonly #againShare: number;

  constructor(ports: LinkPorts, againShare: number) {
    this.#ports = ports;
    this.#againShare = againShare;
  }

  async sync(message: PeerMessage, timeoutMs: number, signal: AbortSignal): Promise<SyncAnswer> {
    const { network, process, dice, to } = this.#ports;
    const text = JSON.stringify(message);
    if (dice.chance(this.#againShare)) {
      const late = (): void =>
        void (to.process !== undefined && to.process.enter(() => gatewayOf(to.process)?.onPeer(text)));
      network.world.after(
        dice.around(lateMs),
        "sync again",
        () => void network.send(process.name, to.name, "sync", 0, late),
      );
    }
    let answer: string | undefined;
    const serve = (server: SimProcess, end: ServerEnd<string>): void => {
      const said = gatewayOf(server)?.onPeer(text);
      if (said === undefined) end.reset();
      else end.answer(said);
    };
    const end = await call<string>(this.#ports, {
      label: "sync",
      serve,
      onLine: (line) => (answer = line),
      firstMs: timeoutMs,
      silenceMs: timeoutMs,
      signal,
    });
    if (answer === undefined) return { kind: "failed", why: end };
    const body = JSON.parse(answer) as PeerMessage | PeerRefusal;
    return "reason" in body
      ? { kind: "refused", refusal: body }
      : { kind: "ok", message: v.parse(peerMessageSchema, body) };
  }

  close(): void {
    // Each exchange has a connection of its own here.
  }
}

const lateMs = 300;
