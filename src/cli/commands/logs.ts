/** `stead logs HOST`: the newest lines of a host's log, or of its application's output, and those that follow. */
import { buildCommand } from "@stricli/core";
import type { GatewayClient } from "../../control/gateway-client.ts";
import { type LogAnswer, type LogLine, logLinesMax, logWaitMsMax } from "../../control/log-api.ts";
import { jsonLine, textLine } from "../../runtime/log.ts";
import { escapeControls } from "../../runtime/printable.ts";
import { systemClock } from "../../runtime/clock.ts";
import type { CliContext } from "../output/context.ts";
import {
  connectionFlags,
  type ConnectionFlags,
  connectToGateway,
  requireAnswer,
  serviceFlag,
} from "./gateway-connection.ts";

interface LogsFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly application: boolean;
  readonly follow: boolean;
  readonly lines: number;
  readonly json: boolean;
}

export const logsCommand = buildCommand<LogsFlags, [host: string], CliContext>({
  docs: {
    brief: "Show the log of a host, or of its application, and follow it",
    fullDescription: [
      "Through a gateway, from any machine: the newest lines that the host keeps in memory, about 1 MiB of each. With --follow, lines",
      "as they are written, until it is interrupted; a host that restarts is waited for. The token of an operator is needed, since an",
      "application's output may have what its clients sent.",
      "Exits with 0, with 5 if there is no such host or it does not answer, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead logs a",
      "  stead logs a --application --follow",
      "  stead logs a --json | jq -r 'select(.level == \"warn\").message'",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...serviceFlag,
      application: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "The output of its application in place of its own log",
      },
      follow: { kind: "boolean", default: false, withNegated: false, brief: "Print lines as they are written" },
      lines: {
        kind: "parsed",
        parse: linesOf,
        default: "50",
        placeholder: "number",
        brief: "How many of the newest lines to begin with",
      },
      json: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Print a JSON object for each line, as --log-format json writes it",
      },
    },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Id of the host", placeholder: "host", parse: String }],
    },
  },
  async func(flags, host) {
    const { client, url } = connectToGateway(this, flags);
    const ask = logReader(client, host, flags);
    const first = requireAnswer(await ask({ linesMax: flags.lines }, this.signal), url);
    print(this, first, flags);
    if (flags.follow) await follow(this, first, ask, flags);
  },
});

type Ask = ReturnType<typeof logReader>;

const logReader =
  (client: GatewayClient, host: string, { service, application }: LogsFlags) =>
  (question: { run?: string; after?: number; waitMs?: number; linesMax: number }, signal: AbortSignal) =>
    client.logs(
      {
        ...{ host, of: application ? "application" : "stead", ...question },
        ...(service === undefined ? {} : { service }),
      },
      signal,
    );

const retryMs = 1_000;

/** Until the command is interrupted. A host or gateway that does not answer is told once, and asked again. */
async function follow(context: CliContext, first: LogAnswer, ask: Ask, flags: LogsFlags): Promise<void> {
  let { run, next } = first;
  let isTold = false;
  while (!context.signal.aborted) {
    const answer = await ask({ run, after: next, waitMs: logWaitMsMax, linesMax: logLinesMax }, context.signal);
    if (context.signal.aborted) return;
    if (answer.kind !== "ok") {
      const why = answer.kind === "refused-by-gateway" ? answer.error : answer.message;
      if (!isTold) context.process.stderr.write(`waiting: ${why}\n`);
      isTold = true;
      await systemClock.sleep(retryMs, context.signal).catch(() => undefined);
      continue;
    }
    isTold = false;
    if (answer.value.run !== run) context.process.stderr.write(`host ${answer.value.host} was started again\n`);
    ({ run, next } = answer.value);
    print(context, answer.value, flags);
  }
}

function print(context: CliContext, { host, lines, lost }: LogAnswer, { application, json }: LogsFlags): void {
  if (lost > 0) context.process.stderr.write(`${lost} lines left out: they were written faster than they were read\n`);
  const format = json ? (application ? applicationJson : steadJson) : application ? applicationText : steadText;
  context.process.stdout.write(lines.map((line) => format(host, line)).join(""));
}

const entryOf = (host: string, { timeMs, level, message, fields }: LogLine) => ({
  ...{ time: new Date(timeMs).toISOString(), level, process: `host ${host}`, what: message, fields },
});

const steadText = (host: string, line: LogLine): string => textLine(entryOf(host, line));
const steadJson = (host: string, line: LogLine): string => jsonLine(entryOf(host, line));
const applicationText = (_host: string, { timeMs, message }: LogLine): string =>
  `${new Date(timeMs).toISOString()} ${escapeControls(message, "\t")}\n`;
const applicationJson = (host: string, { timeMs, level, message }: LogLine): string =>
  `${JSON.stringify({ time: new Date(timeMs).toISOString(), level, stream: "application", process: `host ${host}`, message })}\n`;

function linesOf(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= logLinesMax) return value;
  throw new Error(`expected a whole number from 1 to ${logLinesMax}, found ${JSON.stringify(text)}`);
}
