/**
 * A host process without an application or a vault: the control contract (src/control/host-api.ts) over real sockets,
 * and a plain HTTP data port. The "log" is a folder with one file per epoch, created exclusively, so that claims race
 * for real.
 *
 * Argument: one JSON object, `FakeHostOptions`. Prints `ready` when both ports listen.
 */
import { existsSync, linkSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { HostLog, HostLogRequest } from "../../../src/control/log-api.ts";
import type { RestorePoints } from "../../../src/control/restore-points.ts";
import { type HostStatus, untold } from "../../../src/control/host-status.ts";
import { sealedHandler } from "../control/sealed.ts";
import { heartbeatMs, type DemoteRequest, type PromoteRequest } from "../../../src/control/host-api.ts";

export interface FakeHostOptions {
  readonly id: string;
  readonly service: string;
  readonly controlPort: number;
  readonly dataPort: number;
  readonly logFolder: string;
  readonly secret: string;
  readonly priority: number;
  readonly nofailover: boolean;
  /** The application's start and stop. */
  readonly startMs: number;
  /** Answers every promotion with this instead of becoming primary. */
  readonly refusePromotion: string | null;
  /** Ends itself in the middle of a promotion, after the claim. */
  readonly dieAfterClaim: boolean;
  /** Refuses a promotion without a majority while the primary gives signs of life (beside the log, every 50 ms). */
  readonly witness?: boolean;
}

const options = JSON.parse(process.argv[2] ?? "{}") as FakeHostOptions;
const instance = `${options.id}-${process.pid}`;
mkdirSync(options.logFolder, { recursive: true });

let role: HostStatus["role"] = "secondary";
let vacated = false;
let suspects: HostStatus["suspects"] = [];
const streams = new Set<ServerResponse>();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Beside the log: what this host says of its condition. */
const sayings = `${options.logFolder}.${options.id}.says`;

const lifeSign = `${options.logFolder}.life`;
const lifeSignAgeMs = (): number => (existsSync(lifeSign) ? Date.now() - statSync(lifeSign).mtimeMs : Infinity);

function lastEpoch(): { epoch: number; host: string | null } {
  const epochs = readdirSync(options.logFolder)
    .map(Number)
    .sort((a, b) => b - a);
  const epoch = epochs[0] ?? 0;
  return { epoch, host: epoch === 0 ? null : readFileSync(join(options.logFolder, String(epoch)), "utf8") };
}

function status(): HostStatus {
  const { epoch, host } = lastEpoch();
  if (role === "primary" && host !== options.id) role = "secondary";
  return {
    version: 1,
    service: options.service,
    host: options.id,
    instance,
    role,
    reason: null,
    epoch,
    epochHost: host,
    position: epoch * 10,
    lastRecordAgeMs: 5,
    vaultSilentMs: 5,
    clockMs: performance.now(),
    handover: null,
    vacated,
    dataUrl: `http://127.0.0.1:${options.dataPort}`,
    controlUrl: `http://127.0.0.1:${options.controlPort}`,
    priority: options.priority,
    nofailover: options.nofailover,
    leaseMs: 1000,
    checkpoint: null,
    setAside: [],
    ...untold,
    suspects,
    warnings: [],
    ...(existsSync(sayings) ? (JSON.parse(readFileSync(sayings, "utf8")) as Partial<HostStatus>) : {}),
  };
}

/** A checkpoint every day of a week, the newest of this minute. */
function restorePoints(): RestorePoints {
  const [nowMs, dayMs] = [Date.now(), 86_400_000];
  const checkpoints = [0.001, 1, 2.2, 3, 4.4, 5, 6].map((days, index) => ({
    ...{ position: 7_000 - index * 1_000, wallTimeMs: Math.floor(nowMs - days * dayMs) },
    ...{ databases: 3, bytes: 734_003_200 - index * 9_000_000 },
  }));
  return {
    ...{ total: 9, checkpoints, damaged: [] },
    earliest: { position: 12, wallTimeMs: nowMs - 7 * dayMs },
    older: [],
    latest: { position: 7_042, wallTimeMs: nowMs },
    keep: { checkpoints: 3, windowMs: 7 * dayMs },
  };
}

function become(next: HostStatus["role"]): void {
  role = next;
  for (const stream of streams) stream.write(`${JSON.stringify(status())}\n`);
}

async function promote(request: PromoteRequest, response: ServerResponse): Promise<void> {
  const line = (event: unknown): void => void response.write(`${JSON.stringify(event)}\n`);
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  const last = lastEpoch();
  if (options.refusePromotion !== null || role !== "secondary") {
    line({ kind: "refused", refusal: { kind: "not_ready", reason: options.refusePromotion ?? `its role is ${role}` } });
  } else if (request.epoch < last.epoch) {
    line({ kind: "refused", refusal: { kind: "epoch_taken", epoch: last.epoch, host: last.host } });
  } else if (
    options.witness === true &&
    !request.planned &&
    last.host !== null &&
    request.gatewaysSeeingDown.length * 2 <= request.gatewaysRegistered &&
    lifeSignAgeMs() < 1_000
  ) {
    const votes = `${request.gatewaysSeeingDown.length} of ${request.gatewaysRegistered} gateways see it down`;
    line({
      kind: "refused",
      refusal: {
        kind: "primary_alive",
        evidence: `${last.host} wrote in the vault ${Math.round(lifeSignAgeMs())} ms ago; ${votes}`,
      },
    });
  } else {
    suspects = [...(request.suspects ?? [])];
    become("claiming");
    // Whole or not at all, as in a vault: no reader finds a claim without its owner.
    const claim = `${options.logFolder}.${instance}.claim`;
    writeFileSync(claim, options.id);
    linkSync(claim, join(options.logFolder, String(last.epoch + 1)));
    become("starting");
    line({ kind: "phase", phase: "claim", ms: 1 });
    if (options.dieAfterClaim) process.kill(process.pid, "SIGKILL");
    await sleep(options.startMs);
    line({ kind: "phase", phase: "start", ms: options.startMs });
    become("primary");
    line({ kind: "done", epoch: last.epoch + 1, position: (last.epoch + 1) * 10, dataUrl: status().dataUrl });
  }
  response.end();
}

async function demote(_request: DemoteRequest, response: ServerResponse): Promise<void> {
  const line = (event: unknown): void => void response.write(`${JSON.stringify(event)}\n`);
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  become("draining");
  await sleep(options.startMs);
  line({ kind: "phase", phase: "drain", ms: options.startMs });
  vacated = true;
  become("restoring");
  line({ kind: "done", position: status().position });
  response.end();
  become("secondary");
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text === "" ? {} : JSON.parse(text);
}

async function control(request: IncomingMessage, response: ServerResponse): Promise<void> {
  switch (request.url) {
    case "/v1/status":
      response.end(JSON.stringify(status()));
      return;
    case "/v1/status/stream":
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      streams.add(response);
      response.on("close", () => streams.delete(response));
      response.write(`${JSON.stringify(status())}\n`);
      return;
    case "/v1/promote":
      return promote((await bodyOf(request)) as PromoteRequest, response);
    case "/v1/demote":
      return demote((await bodyOf(request)) as DemoteRequest, response);
    case "/v1/suspects/clear":
      suspects = [];
      become(role);
      response.end(JSON.stringify(status()));
      return;
    case "/v1/log":
      response.end(JSON.stringify(logLines((await bodyOf(request)) as HostLogRequest)));
      return;
    case "/v1/restore-points":
      response.end(JSON.stringify(restorePoints()));
      return;
    case "/v1/checkpoint":
      response.end(JSON.stringify({ position: 10, chunksWritten: 1, chunksReused: 2, ms: 3 }));
      return;
    default:
      response.writeHead(404).end();
  }
}

/** Three lines at first, then one for each question. */
function logLines({ of = "stead", run = null, after = 0, linesMax = 100 }: HostLogRequest): HostLog {
  const numbers = run === null ? [1, 2, 3].slice(-linesMax) : [after + 1];
  const lines = numbers.map((number) => ({
    ...{ number, timeMs: 1_000, level: "warn" as const, message: `line ${number} of ${of}` },
    fields: of === "stead" ? { position: number } : {},
  }));
  return { run: instance, lines, next: numbers.at(-1) ?? 0, lost: 0 };
}

const sealed = sealedHandler(
  options.secret,
  { role: "host", id: `${options.service}/${options.id}` },
  (request, response) => {
    control(request, response).catch((error: unknown) => response.destroy(error as Error));
  },
);
const controlServer = createServer((request, response) => {
  if (request.url !== "/fake/suspect") return sealed(request, response);
  // Not of the contract: the application ended twice on this request.
  suspects = [{ method: "GET", path: "/crash", endings: 2, trialInMs: 10_000, pauseMs: 10_000 }];
  become(role);
  response.end();
});
const dataServer = createServer((request, response) => {
  if (status().role !== "primary") {
    response.writeHead(503, { "stead-outcome": "not-executed" }).end();
    return;
  }
  const fields = request.url === "/fields" ? { fields: request.headers } : {};
  request
    .resume()
    .on("end", () => response.end(JSON.stringify({ host: options.id, epoch: lastEpoch().epoch, ...fields })));
});
setInterval(() => become(role), heartbeatMs);
if (options.witness === true) setInterval(() => status().role === "primary" && writeFileSync(lifeSign, options.id), 50);
controlServer.listen(options.controlPort, "127.0.0.1", () => {
  dataServer.listen(options.dataPort, "127.0.0.1", () => process.stdout.write("ready\n"));
});
