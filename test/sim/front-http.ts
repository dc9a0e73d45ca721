/**
 * The bytes between a gateway, the front of a host, and its application: the real server, exchange, attempt, pool and
 * gated release (src/http), over simulated TCP. What the server writes has left the host, at that very moment.
 *
 * An application sends a response at once or its head before it executes the request, as one that streams does. Then
 * the gate may be asked for the head while the transaction runs, and what is sent after it needs a call of its own.
 */
import { Buffer } from "node:buffer";
import type { Rules } from "../../src/core/rules.ts";
import { BodyReader } from "../../src/http/message/body-reader.ts";
import { readResponse } from "../../src/http/message/read-response.ts";
import { asksForCheckpoint, withoutSteadFields } from "../../src/http/message/stead-fields.ts";
import { defaultHttpLimits } from "../../src/http/limits.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import type { Exchange, ForwardOptions, ForwardOutcome } from "../../src/http/upstream/exchange.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import type { RequestOutcome } from "../../src/core/request-outcome.ts";
import { recorderOf } from "../../src/host/application/answer-recorder.ts";
import type { Handover } from "../../src/host/application/handover.ts";
import type { ServingTerm } from "../../src/host/application/serving-term.ts";
import { CancellationGroup } from "../../src/runtime/cancellation-group.ts";
import type { ChunkUse, Piece, TcpSocket, TcpUser } from "../../src/runtime/tcp/tcp.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import { type ApplicationAnswer, methodOf, pathOf, type Request } from "./messages.ts";
import type { SimApplication } from "./sim-application.ts";
import type { SimProcess } from "./sim-process.ts";
import { bytesOf, SimTcp, type TcpOptions } from "./sim-tcp.ts";

export interface FrontHttpOptions extends TcpOptions {
  /** Share of requests whose response begins before they are executed. */
  readonly earlyHeadShare: number;
}

interface FrontHttpPorts {
  readonly process: SimProcess;
  readonly dice: SeededRandom;
  readonly options: FrontHttpOptions;
  readonly application: () => SimApplication | undefined;
  readonly rules: Rules;
  readonly handover: Handover;
}

type Answer = Extract<ApplicationAnswer, { kind: "ok" }>;

export interface CarriedFailure {
  readonly kind: "failed";
  /** A byte of a response has left. */
  readonly hasStarted: boolean;
  readonly outcome: ForwardOutcome;
}

/** `answered`: the whole answer has left. */
type Carried = { readonly kind: "answered"; readonly answer: Answer } | CarriedFailure;

/** One request on its way. */
interface Carriage {
  readonly term: TermHttp;
  readonly end: GatewayEnd;
  readonly settle: (carried: Carried) => void;
}

const frontPort = 80;
const applicationPort = 1;
const limits = { ...defaultHttpLimits, firstByteMs: 0 };
const invalidResponse = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc";

/** The connections to the application in one term. */
export interface TermHttp {
  readonly upstream: Upstream;
  readonly end: CancellationGroup;
  readonly forward: ForwardOptions;
}

export class FrontHttp {
  readonly #ports: FrontHttpPorts;
  readonly #tcp: SimTcp;
  readonly #carriages = new Map<number, Carriage>();
  /** Each that was sent. */
  readonly #requests = new Map<number, Request>();
  /** What all applications have said; a body names it. */
  readonly #answers: Answer[];
  #number = 0;

  constructor(ports: FrontHttpPorts) {
    this.#ports = ports;
    const { process, dice, options } = ports;
    this.#answers = answersIn(process.world);
    this.#tcp = new SimTcp(process, dice, options);
    this.#tcp.serve(applicationPort, {
      isAccepting: () => ports.application()?.process?.isDead === false,
      onSocket: (socket) => new ApplicationEnd(this.#tcp, ports, socket, this),
    });
    void HttpServer.listen({
      host: "127.0.0.1",
      port: frontPort,
      clock: process.clock,
      tcp: this.#tcp,
      random: dice,
      limits,
      onExchange: (exchange) => {
        const carriage = this.carriageOf(exchange.request.target);
        const { upstream, forward } = carriage.term;
        const user = {
          onOutcome: (_exchange: Exchange, _upstream: Upstream, outcome: ForwardOutcome) => {
            if (outcome.kind === "completed") return undefined;
            const { hasStarted } = carriage.end;
            exchange.abort();
            carriage.settle({ kind: "failed", hasStarted, outcome });
            return undefined;
          },
        };
        exchange.forwardTo(upstream, forward, user);
        return undefined;
      },
      onHandlerError: (error) => {
        throw error;
      },
    });
  }

  begin(term: ServingTerm): TermHttp {
    const { process, rules } = this.#ports;
    const end = new CancellationGroup();
    const upstream = new Upstream({
      host: term.applicationHost,
      port: applicationPort,
      limits,
      clock: process.clock,
      tcp: this.#tcp,
    });
    const forward: ForwardOptions = {
      gate: () => term.gate(),
      cancellation: end,
      upstreamIsHost: false,
      rules,
      recordAnswer: ({ target }, head) => recorderOf(this.#ports.handover, this.requestOf(target), head),
      editResponseFields: ({ headers }) => {
        if (asksForCheckpoint(headers)) term.onCheckpointAsked();
        return withoutSteadFields(headers);
      },
    };
    return { upstream, end, forward };
  }

  /** `onRelease` is called when the answer has left, in the turn in which its last byte is written. */
  carry(request: Request, term: TermHttp, onRelease: (answer: Answer) => void): Promise<Carried> {
    const number = (this.#number += 1);
    return new Promise((resolve) => {
      const settle = (carried: Carried): void => {
        this.#carriages.delete(number);
        end.close();
        resolve(carried);
      };
      let released: Answer | undefined;
      const end = new GatewayEnd(this.#tcp, `${methodOf(request)} ${pathOf(request)}?n=${number} HTTP/1.1`, {
        onText: (text) => {
          if (released !== undefined || !text.endsWith("\n")) return;
          released = this.#answerIn(text);
          onRelease(released);
        },
        onComplete: () => {
          if (released === undefined) throw new Error("a complete response that names no answer");
          settle({ kind: "answered", answer: released });
        },
      });
      this.#requests.set(number, request);
      this.#carriages.set(number, { term, end, settle });
      this.#tcp.accept(frontPort, end);
    });
  }

  /** What the application gets, also when the front has given it up by then: its bytes were on their way. */
  requestOf(target: string): Request {
    const request = this.#requests.get(numberOf(target));
    if (request === undefined) throw new Error(`${target} was never sent`);
    return request;
  }

  carriageOf(target: string): Carriage {
    const carriage = this.#carriages.get(numberOf(target));
    if (carriage === undefined) throw new Error(`${target} is no request on its way`);
    return carriage;
  }

  /** What a recorded body names. */
  recordedAnswer(outcome: RequestOutcome): Answer {
    if (outcome.kind !== "whole") throw new Error("answers of the simulation are short");
    return this.#answerIn(Buffer.from(outcome.body).toString("latin1"));
  }

  #answerIn(text: string): Answer {
    const named = /^answer (\d+)\n$/.exec(text)?.[1];
    const answer = named === undefined ? undefined : this.#answers[Number(named)];
    if (answer === undefined) throw new Error(`no application has said ${text}`);
    return answer;
  }

  nameOf(answer: Answer): string {
    this.#answers.push(answer);
    return `answer ${this.#answers.length - 1}\n`;
  }
}

/** Of each simulated world: a host may answer with what another one recorded. */
const answers = new WeakMap<object, Answer[]>();

function answersIn(world: object): Answer[] {
  const known = answers.get(world) ?? [];
  answers.set(world, known);
  return known;
}

const numberOf = (target: string): number => Number(/\?n=(\d+)$/.exec(target)?.[1]);

interface GatewayEvents {
  /** All that has left of a body, each time more of it does. */
  readonly onText: (text: string) => void;
  readonly onComplete: () => void;
}

/** A connection of a gateway with one request, as the front's server has it. */
class GatewayEnd implements TcpSocket {
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 1;
  readonly localAddress = "127.0.0.1";
  readonly localPort = frontPort;
  readonly waitingBytes = 0;
  readonly isClear = true;
  readonly #tcp: SimTcp;
  readonly #head: string;
  readonly #events: GatewayEvents;
  #user: TcpUser | undefined;
  #written = Buffer.alloc(0);
  #body: BodyReader | undefined;
  #text = "";
  #isClosed = false;

  constructor(tcp: SimTcp, requestLine: string, events: GatewayEvents) {
    this.#tcp = tcp;
    this.#head = `${requestLine}\r\nHost: sim\r\n\r\n`;
    this.#events = events;
  }

  /** A byte of a response has left. */
  get hasStarted(): boolean {
    return this.#body !== undefined || this.#written.length > 0;
  }

  use(user: TcpUser): void {
    this.#user = user;
    for (const part of this.#tcp.split(Buffer.from(this.#head)))
      this.#tcp.later(0, "request arrives", () => {
        if (!this.#isClosed) user.onData(part);
      });
  }

  /** The gateway closes it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#tcp.later(0, "gateway closes", () => this.#user?.onClose(undefined));
  }

  write(piece: Piece): void {
    this.writeAll([piece]);
  }

  writeAll(pieces: readonly Piece[]): void {
    if (this.#isClosed) return;
    this.#written = Buffer.concat([this.#written, ...pieces.map(bytesOf)]);
    if (this.#body === undefined) {
      const found = readResponse(this.#written, 0, this.#written.length, "GET", limits);
      if (found === undefined) return;
      this.#body = new BodyReader(found.response.framing, limits, Number.MAX_SAFE_INTEGER);
      this.#written = this.#written.subarray(found.end);
    }
    const bytes = this.#written;
    this.#written = Buffer.alloc(0);
    if (!this.#body.isDone)
      this.#body.read(bytes, 0, {
        onBody: (body, from, to) => void (this.#text += body.toString("latin1", from, to)),
        onBodyEnd: () => undefined,
      });
    this.#events.onText(this.#text);
    if (this.#body.isDone) this.#events.onComplete();
  }

  end(): void {
    // The gateway has what it wants, or is told by the outcome.
  }

  pause(): void {
    // It sends one request.
  }

  resume(): void {
    // It sends one request.
  }

  destroy(): void {
    this.#isClosed = true;
  }

  reset(): void {
    this.#isClosed = true;
  }
}

/** A connection to the application, at its end. */
class ApplicationEnd implements TcpUser {
  readonly #ports: FrontHttpPorts;
  readonly #socket: TcpSocket;
  readonly #front: FrontHttp;
  readonly #forget: () => void;
  #text = "";
  #leave: (() => void) | undefined;

  constructor(tcp: SimTcp, ports: FrontHttpPorts, socket: TcpSocket, front: FrontHttp) {
    this.#ports = ports;
    this.#socket = socket;
    this.#front = front;
    socket.use(this);
    const process = ports.application()?.process;
    // The kernel closes what a process had open.
    this.#forget =
      process?.whenDead(() => (tcp.dice.chance(0.5) ? socket.reset() : socket.destroy())) ?? (() => undefined);
  }

  onData(chunk: Buffer): ChunkUse {
    this.#text += chunk.toString("latin1");
    const line = /^\S+ (\S+) HTTP\/1\.1\r\n[\s\S]*\r\n\r\n$/.exec(this.#text);
    if (line === null) return undefined;
    this.#text = "";
    this.#serve(this.#front.requestOf(line[1] as string));
    return undefined;
  }

  onEnd(): void {
    this.onClose();
    this.#socket.destroy();
  }

  onDrain(): void {
    // Its writes never wait.
  }

  onClose(): void {
    this.#forget();
    this.#leave?.();
  }

  #serve(request: Request): void {
    const { application, dice, options } = this.#ports;
    const isEarly = request.poison === undefined && dice.chance(options.earlyHeadShare);
    if (isEarly) this.#socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    this.#leave = application()?.run(request, (executed) => {
      this.#leave = undefined;
      if (executed === undefined) return this.#socket.reset();
      const { answer, wantsCheckpoint } = executed;
      if (answer.kind === "invalid") return this.#socket.write(invalidResponse);
      const body = this.#front.nameOf(answer);
      if (isEarly) return this.#socket.write(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
      const asks = wantsCheckpoint ? "Stead-Checkpoint: now\r\n" : "";
      this.#socket.write(`HTTP/1.1 200 OK\r\n${asks}Content-Length: ${body.length}\r\n\r\n${body}`);
    });
  }
}
