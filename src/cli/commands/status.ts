/** `stead status`: what a gateway sees, as a table, once or repeatedly. */
import { buildCommand } from "@stricli/core";
import { checkpointInWords } from "../../control/checkpoint-words.ts";
import type { ClusterHost, ClusterService, ClusterStatus } from "../../control/gateway-api.ts";
import { systemClock } from "../../runtime/clock.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { formatOperatorError } from "../output/operator-errors.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { phaseInWords } from "../output/phase-words.ts";
import { formatLine, formatLines, paragraph, type Screen, screenOf } from "../output/wrap-text.ts";
import { formatDrillSummary } from "../output/drill-summary.ts";
import { roughDuration } from "../output/rough-duration.ts";
import { bytesInWords } from "../../runtime/progress-report.ts";
import { formatTable } from "../output/table.ts";

interface StatusFlags extends ConnectionFlags {
  readonly watch: boolean;
  readonly json: boolean;
}

const watchIntervalMs = 500;
const clearScreen = "\u001b[H\u001b[2J";

export const statusCommand = buildCommand<StatusFlags, [], CliContext>({
  docs: {
    brief: "Show services, hosts, the primary, and current problems",
    fullDescription: [
      "Asks a gateway and prints a table per service. Exits with 0 if every service has a primary that serves and a vault that answers,",
      "with 9 otherwise, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead status",
      "  stead status --watch",
      "  stead status --gateway http://10.0.0.5:7700 --json",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...jsonFlag,
      watch: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Refresh until Ctrl-C; with --json one object per line",
      },
    },
  },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    const isScreen = flags.watch && !flags.json && this.process.stdout.isTTY === true;
    const { stdout } = this.process;
    let last: Shown | undefined;
    const show = async (): Promise<void> => {
      const status = requireAnswer(await client.cluster(this.signal), url);
      const text = flags.json
        ? `${JSON.stringify(status)}\n`
        : formatStatus(status, systemClock.wallTime(), stdout.columns);
      last = { text, at: systemClock.now() };
      this.process.stdout.write(isScreen ? clearScreen + text : text);
      if (!flags.watch && !isWell(status)) this.exitWith(exitCodes.verdict);
    };
    await show();
    while (flags.watch && !this.signal.aborted) {
      try {
        await systemClock.sleep(watchIntervalMs, this.signal);
      } catch {
        return; // Ctrl-C
      }
      // A gateway may be restarting: keep trying, and show the error meanwhile.
      await show().catch((error: unknown) => {
        if (!(error instanceof OperatorError)) throw error;
        if (this.signal.aborted) return;
        const text = formatOperatorError(error);
        if (isScreen)
          stdout.write(
            clearScreen + formatLines(text, screenOf(stdout.columns)) + formatOutdated(last, systemClock.now()),
          );
        else this.process.stderr.write(`${text}\n`);
      });
    }
  },
});

interface Shown {
  readonly text: string;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/** What the gateway last said must not look like the present. */
export function formatOutdated(last: Shown | undefined, now: number): string {
  return last === undefined ? "" : `\nOUTDATED, as of ${roughDuration(now - last.at)} ago:\n\n${last.text}`;
}

const isWell = (status: ClusterStatus): boolean =>
  status.services.every(({ phase, vault }) => phase === "serving" && vault.state === "well");

/** `columns`: of the terminal; without one a table is as wide as it must be. */
export function formatStatus(status: ClusterStatus, wallTimeMs: number, columns?: number): string {
  const screen = screenOf(columns);
  const uptime = `up ${roughDuration(status.uptimeMs)}`;
  const warnings = status.troubles.map((warning) => paragraph("WARNING: ", warning, screen)).join("");
  const services = status.services.map((service) => formatService(service, wallTimeMs, screen)).join("\n");
  const head = formatLine(`gateway ${status.gateway}, ${uptime}, ${counted(status.connections, "connection")}`, screen);
  return `${head}${workersLine(status.workers, screen)}${warnings}\n${services}`;
}

function workersLine(workers: ClusterStatus["workers"], screen: Screen): string {
  if (workers.length === 0) return "";
  const each = workers.map(({ pid, state, connections, restarts }, index) => {
    const again = restarts === 0 ? "" : `, restarted ${counted(restarts, "time")}`;
    return `${index + 1} ${state} (${pid === null ? "" : `pid ${pid}, `}${counted(connections, "connection")}${again})`;
  });
  return formatLine(`workers: ${each.join("; ")}`, screen);
}

function formatService(service: ClusterService, wallTimeMs: number, screen: Screen): string {
  const { requests, waiting } = service;
  const head = [
    `service ${service.name}: ${service.phase}${service.vault.state === "well" ? "" : `, vault ${service.vault.state} for ${roughDuration(service.vault.forMs)}`}${pausedText(service)}${maintenanceText(service)}`,
    `${service.phase === "down" ? "last primary" : "primary"} ${service.primary ?? "none"}, epoch ${service.epoch}`,
    `${service.requestsPerSecond.toFixed(0)} requests/s`,
    ...(waiting.requests === 0 ? [] : [`${counted(waiting.requests, "request")} waiting`]),
  ].join(", ");
  const reason = service.reason === null ? "" : paragraph("  ", service.reason, screen);
  const paged = requests.maintenance === 0 ? "" : `, ${requests.maintenance} in maintenance`;
  const counts = `requests: ${requests.ok} ok, ${requests.held} held, ${requests.replayed} replayed, ${requests.unknown} unknown, ${requests.failed} failed${paged}`;
  return `${formatLine(head, screen)}${reason}${formatLine(counts, screen)}${hostTable(service, screen)}${formatFailovers(service, wallTimeMs, screen)}${formatDrillSummary(service.drill, wallTimeMs, screen)}`;
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

const pausedText = ({ paused, pause }: ClusterService): string =>
  paused ? `, automation paused${termsText(pause)}` : "";

const maintenanceText = ({ maintenance }: ClusterService): string =>
  maintenance === null ? "" : `, IN MAINTENANCE${termsText(maintenance)}`;

function termsText(terms: ClusterService["pause"]): string {
  if (terms === null) return "";
  const until = terms.untilMs === null ? "" : ` until ${new Date(terms.untilMs).toISOString()}`;
  return `${until}${terms.reason === null ? "" : ` (${terms.reason})`}`;
}

function hostTable(service: ClusterService, screen: Screen): string {
  const columns = [
    { title: "HOST" },
    { title: "ROLE" },
    { title: "HEALTH" },
    { title: "EPOCH", align: "right" as const },
    { title: "POSITION", align: "right" as const },
    { title: "LAG", align: "right" as const },
    { title: "PRIORITY", align: "right" as const },
    { title: "NOTES" },
  ];
  const table = formatTable(
    columns,
    service.hosts.map((host) => hostRow(service, host)),
    screen.table,
  );
  return (
    table + formatFiles(service, screen) + formatCheckpoints(service.hosts, screen) + formatNotes(service.hosts, screen)
  );
}

function hostRow(service: ClusterService, host: ClusterHost): string[] {
  const notes = [
    ...(host.id === service.routedTo ? ["traffic"] : []),
    ...(host.nofailover ? ["nofailover"] : []),
    ...(host.setAside.length === 0 ? [] : [`${host.setAside.length} set aside`]),
    ...host.notes.filter((note) => isShort(note) && note !== host.reason),
  ];
  const text = (value: number | null): string => (value === null ? "-" : String(value));
  return [
    host.id,
    roleOf(host),
    healthOf(host),
    text(host.epoch),
    text(host.position),
    text(host.lag),
    String(host.priority),
    notes.join("; "),
  ];
}

/** Of the host that has the traffic; hosts that follow have the same. */
function formatFiles({ hosts, routedTo }: ClusterService, screen: Screen): string {
  const files = hosts.find(({ id }) => id === routedTo)?.files ?? null;
  return files === null
    ? ""
    : paragraph("  files: ", `${files.count} beside the databases fail over too, ${bytesInWords(files.bytes)}`, screen);
}

const formatCheckpoints = (hosts: readonly ClusterHost[], screen: Screen): string =>
  hosts
    .map(({ id, health, checkpointProgress }) =>
      checkpointProgress === null || health === "down"
        ? ""
        : paragraph(`  ${id}: `, checkpointInWords(checkpointProgress), screen),
    )
    .join("");

/** Longest note, in characters, that is shown in the table; a longer one gets its own lines below. */
const shortNoteMax = 24;
const isShort = (note: string): boolean => note.length <= shortNoteMax;

/** What several hosts say alike stands once, with all their names. */
function formatNotes(hosts: readonly ClusterHost[], screen: Screen): string {
  const hostsByNote = new Map<string, string[]>();
  for (const host of hosts)
    for (const note of longNotesOf(host)) hostsByNote.set(note, [...(hostsByNote.get(note) ?? []), host.id]);
  return [...hostsByNote].map(([note, ids]) => paragraph(`  ${ids.join(", ")}: `, note, screen)).join("");
}

function longNotesOf({ role, reason, notes }: ClusterHost): readonly string[] {
  const long = notes.filter((note) => !isShort(note) && (reason === null || !note.includes(reason)));
  const advice = role === "failed" ? [failedAdvice] : [];
  const all = [...new Set([...(reason === null ? [] : [reason]), ...advice, ...long])];
  // A report of the vault stands again in the impairment that it causes, and why an application did not start in what
  // follows from that.
  return all.filter(
    (note, index) =>
      !all.some(
        (other, at) => other !== note && (other.includes(note) || (at < index && other.endsWith(causeIn(note)))),
      ),
  );
}

const causeIn = (note: string): string => note.slice(note.indexOf(": ") + 1);

/** `failed` is the only state that a host does not leave by itself. */
const failedAdvice = "do: fix the cause named here, then restart this host";

/** The last report of a host that is down is history: a dead primary must not look like a second one. */
const roleOf = ({ role, health }: ClusterHost): string =>
  role === null ? "-" : health === "down" ? `was ${role}` : role;

/** A host that failed for good may answer all the same. */
const healthOf = ({ role, health }: ClusterHost): string => (role === "failed" && health === "up" ? "answers" : health);

const failoversShown = 5;

function formatFailovers(service: ClusterService, wallTimeMs: number, screen: Screen): string {
  const last = service.failovers.slice(-failoversShown).reverse();
  if (last.length === 0) return "";
  const lines = last.map((entry) => {
    const phases = Object.entries(entry.phases)
      .filter(([, ms]) => ms !== null && ms >= 0.5)
      .map(([phase, ms]) => `${phaseInWords(phase)} ${Math.round(ms ?? 0)}`)
      .join(", ");
    const details = [
      ...(["switchover", "rewind"].includes(entry.kind) || entry.cause === null ? [] : [inShort(entry.cause)]),
      ...(phases === "" ? [] : [`${phases} ms`]),
      ...(entry.gapMs === null ? [] : [`gap ${Math.round(entry.gapMs)} ms`]),
    ].join("; ");
    const what = `${entry.kind} ${entry.from ?? "none"} -> ${entry.to ?? "none"}, ${outcomeInWords(entry.outcome)}${details === "" ? "" : ` (${details})`}`;
    return paragraph(`  ${roughDuration(wallTimeMs - entry.decidedAtMs)} ago: `, what, screen);
  });
  return `last failovers:\n${lines.join("")}`;
}

/** Without what a cause has in brackets: its evidence stands with the host and in the view `failovers`. */
const inShort = (cause: string): string => cause.replace(/ \(.*$/s, "");

/** Two gateways may begin the same failover; one of them takes over. */
const outcomeInWords = (outcome: string): string =>
  outcome === "overtaken" ? "overtaken by another failover" : outcome;
