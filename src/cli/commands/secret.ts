/**
 * `stead secret rotate`: replaces the cluster's secret without an outage, in steps that it can tell by itself
 * (rotation.ts): the new secret beside the former one, every process reads the file, the former one goes.
 */
import { randomBytes } from "node:crypto";
import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { buildCommand, buildRouteMap } from "@stricli/core";
import { type FormerSecret, formatSecrets, readSecrets, type Secrets } from "../../config/secret.ts";
import type { Config } from "../../config/types.ts";
import { durationAccepted, parseDuration } from "../../config/units.ts";
import { ChannelClient } from "../../control/channel/client.ts";
import { Keyring } from "../../control/channel/keyring.ts";
import { operator } from "../../control/channel/transcript.ts";
import { systemClock } from "../../runtime/clock.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { replaceFile } from "../../runtime/replace-file.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { formatTable } from "../output/table.ts";
import { formatLine, paragraph, screenOf } from "../output/wrap-text.ts";
import { requireConfig } from "./config.ts";
import { connectionFlags, jsonFlag, tlsOf } from "./gateway-connection.ts";
import { adviceFor, knowsNew, nextStep, type OwnSecrets, type SurveyedProcess } from "./rotation.ts";
import { surveySecrets } from "./secret-survey.ts";

const secretBytes = 32;
const lookEveryMs = 500;

interface RotateFlags {
  readonly gateway: string | undefined;
  readonly config: string | undefined;
  readonly secretFile: string | undefined;
  readonly for: number;
  readonly wait: number | undefined;
  readonly without: readonly string[] | undefined;
  readonly status: boolean;
  readonly json: boolean;
}

/** How far a rotation is, as --json prints it. */
interface RotationReport {
  /** `none`: all have one secret; `begun`: by this call; `waiting`: not all know the new one; `done`: by this call. */
  readonly rotation: "none" | "begun" | "waiting" | "done";
  readonly file: string;
  readonly formerUntil: string | null;
  readonly processes: readonly ProcessReport[];
}

interface ProcessReport {
  readonly process: string;
  readonly knowsNew: boolean;
  readonly former: string;
  readonly from: string;
  readonly advice: string | null;
}

const rotateCommand = buildCommand<RotateFlags, [], CliContext>({
  docs: {
    brief: "Replace the cluster's secret without an outage, step by step",
    fullDescription: [
      "Begins a rotation: writes a new secret into the secret file, and the former one below it with its end. Both are valid",
      "until then. Copy the file to every machine of the cluster; processes read it within a second, and hosts let it open the",
      "vault's keys. Run the command again: once all processes that are known have read the new secret, it takes the former one",
      "away. It refuses to do so before, and says what is missing on which machine. Then copy the file once more.",
      "Exits with 9 while a rotation is not finished. With --status it changes nothing. With --wait it finishes by itself.",
      "With --json it prints one object when it ends: rotation (none, begun, waiting, done), file, formerUntil, processes.",
      "",
      "EXAMPLES",
      "  stead secret rotate --config /etc/stead/stead.toml",
      "  stead secret rotate --config /etc/stead/stead.toml --status",
      "  stead secret rotate --wait 5m",
      "  stead secret rotate --without host:notes/c",
    ].join("\n"),
  },
  parameters: {
    flags: {
      gateway: connectionFlags.gateway,
      config: connectionFlags.config,
      secretFile: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "file",
        brief: "The file to change, if the configuration names a copy of it (LoadCredential)",
      },
      for: {
        kind: "parsed",
        parse: duration,
        default: "24h",
        placeholder: "duration",
        brief: "How long the former secret stays valid; then it ends by itself",
      },
      wait: {
        kind: "parsed",
        parse: duration,
        optional: true,
        placeholder: "duration",
        brief: "Wait this long for all processes to read the new secret, and finish",
      },
      without: {
        kind: "parsed",
        parse: String,
        optional: true,
        variadic: true,
        placeholder: "process",
        brief: "A process that need not know the new secret, as this command names it; may be repeated",
      },
      status: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Say how far the rotation is, and change nothing",
      },
      ...jsonFlag,
    },
    positional: { kind: "tuple", parameters: [] },
  },
  async func(flags) {
    const rotation = open(this, flags);
    const say = (text: string): void => void this.process.stdout.write(text);
    const { columns } = this.process.stdout;
    let hasBegun = false;
    const tell = (kind: RotationReport["rotation"], processes: readonly SurveyedProcess[], text: () => string): void =>
      say(flags.json ? `${JSON.stringify(reportOf(kind, rotation, processes))}\n` : text());
    const deadline = systemClock.now() + (flags.wait ?? 0);
    for (;;) {
      const processes = await rotation.survey();
      const step = nextStep(rotation.own(), processes, flags.without ?? []);
      if (flags.status) {
        tell(step.kind === "begin" ? "none" : "waiting", processes, () => showRotation(rotation, processes, columns));
        if (step.kind !== "begin") this.exitWith(exitCodes.verdict);
        return;
      }
      if (step.kind === "elsewhere") throw elsewhere(step.names, rotation.file);
      if (step.kind === "begin") {
        rotation.begin(flags.for);
        hasBegun = true;
        if (!flags.json) say(began(rotation));
      } else if (step.kind === "finish") {
        rotation.removeFormer();
        tell("done", processes, () => finished(rotation, processes));
        return;
      }
      if (systemClock.now() >= deadline) {
        const now = step.kind === "begin" ? await rotation.survey() : processes;
        tell(hasBegun ? "begun" : "waiting", now, () => showRotation(rotation, now, columns));
        return this.exitWith(exitCodes.verdict);
      }
      await systemClock.sleep(lookEveryMs, this.signal);
    }
  },
});

export const secretRoutes = buildRouteMap({
  routes: { rotate: rotateCommand },
  docs: { brief: "Replace the cluster's secret" },
});

interface Rotation {
  readonly file: string;
  own(): OwnSecrets;
  survey(): Promise<SurveyedProcess[]>;
  begin(forMs: number): void;
  removeFormer(): void;
}

function open(context: CliContext, flags: RotateFlags): Rotation {
  const config = requireConfig(context, flags.config);
  const { name, tls } = config.cluster;
  const url = flags.gateway ?? context.process.env["STEAD_GATEWAY"] ?? config.gateway?.adminUrl ?? config.gatewayUrl;
  if (url === undefined)
    throw new OperatorError("configuration", {
      found: "no gateway is named",
      accepted: "--gateway URL, STEAD_GATEWAY, or a configuration file with [gateway]",
      advice: "name one: who has read the new secret is asked of the gateways",
    });
  const file = fileOf(context, config, flags.secretFile);
  let secrets = readFile(file);
  const [known, calling] = [new Keyring([secrets.secret], name), new Keyring([secrets.secret], name)];
  const caller = new ChannelClient(
    calling,
    operator,
    systemClock,
    tlsOf(tls === undefined ? undefined : { name, acceptBearer: false, tls }),
  );
  const put = (next: Secrets): void => {
    replaceSecret(file, formatSecrets(next));
    secrets = next;
    use();
  };
  const use = (): void => {
    const { secret, former } = secrets;
    // Also after its end: processes on other machines may have the former one alone. All have it while it is rotated.
    known.replace(former === undefined ? [secret] : [secret, former.secret]);
    calling.replace(former === undefined ? [secret] : [former.secret, secret]);
  };
  use();
  const own = (): OwnSecrets => {
    const [first, second] = known.keys;
    const { former } = secrets;
    return {
      id: first?.id ?? "",
      former: former === undefined || second === undefined ? undefined : { id: second.id, untilMs: former.untilMs },
    };
  };
  return {
    file,
    own,
    survey: () => surveySecrets({ url, caller, secret: secrets.secret, signal: context.signal }),
    begin(forMs) {
      const former: FormerSecret = { secret: secrets.secret, untilMs: systemClock.wallTime() + forMs };
      put({ secret: randomBytes(secretBytes).toString("base64url"), former });
    },
    removeFormer: () => put({ secret: secrets.secret, former: undefined }),
  };
}

function fileOf(context: CliContext, config: Config, named: string | undefined): string {
  if (named !== undefined) return realPath(resolve(context.cwd, named));
  const from = config.cluster.secretFrom;
  if (from?.kind === "file") return realPath(from.path);
  throw new OperatorError("configuration", {
    found: `the secret is in ${from?.kind === "configuration" ? from.path : "the environment (STEAD_SECRET, or a variable)"}, which no running process reads again`,
    accepted: "a secret in a file of its own, as `cluster.secret_file`",
    advice:
      "put it into a file on every machine, and reload the processes (SIGHUP); those with it in the environment restart",
  });
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function readFile(path: string): Secrets {
  const read = readSecrets(path);
  if (read.kind === "ok") return read.secrets;
  throw new OperatorError("configuration", read.said);
}

function replaceSecret(path: string, text: string): void {
  try {
    replaceFile(path, text);
  } catch (error) {
    throw new OperatorError(
      "resource",
      {
        found: `${path} cannot be written: ${messageOf(error)}`,
        accepted: "a secret file that this user may replace",
        advice:
          "run it as the owner of the file; if it is a copy (LoadCredential), name the original with --secret-file",
      },
      { cause: error },
    );
  }
}

const elsewhere = (names: readonly string[], file: string): OperatorError =>
  new OperatorError("refused", {
    found: `a rotation is not over, and ${file} is not part of it: ${names.join(", ")} know another secret besides or instead`,
    accepted: "one rotation at a time, from one secret file",
    advice:
      "see `stead secret rotate --status`; copy the newest secret file to all machines, or wait for the end of the former secret",
  });

const time = (ms: number): string => new Date(ms).toISOString();

function began({ file, own }: Rotation): string {
  const { former } = own();
  return paragraph(
    "",
    `${file} has a new secret, and the former one until ${time(former?.untilMs ?? 0)}. Copy it to every machine of the cluster, over the secret file there, then run this command again.`,
  );
}

function finished({ file, own }: Rotation, processes: readonly SurveyedProcess[]): string {
  const { id } = own();
  const lines = [
    paragraph(
      "",
      `${file} has the new secret alone. Copy it to every machine once more; where it is not copied, the former secret ends at its time.`,
    ),
    ...processes
      .filter((process) => !knowsNew(process, id))
      .map(({ name }) => paragraph(`  ${name}: `, `left out; it is refused until it has ${file}`)),
  ];
  return lines.join("");
}

function reportOf(
  rotation: RotationReport["rotation"],
  { file, own }: Pick<Rotation, "file" | "own">,
  processes: readonly SurveyedProcess[],
): RotationReport {
  const secrets = own();
  return {
    ...{ rotation, file, formerUntil: secrets.former === undefined ? null : time(secrets.former.untilMs) },
    processes: processes.map((process) => ({
      process: process.name,
      knowsNew: knowsNew(process, secrets.id),
      former: formerOf(process, secrets),
      from: process.told.kind === "status" ? (process.told.secret.file ?? process.told.secret.from) : "-",
      advice: adviceFor(process, secrets, file) ?? null,
    })),
  };
}

export function showRotation(
  rotation: Pick<Rotation, "file" | "own">,
  surveyed: readonly SurveyedProcess[],
  width?: number,
): string {
  const { file, formerUntil, processes } = reportOf("waiting", rotation, surveyed);
  const columns = [{ title: "PROCESS" }, { title: "NEW SECRET" }, { title: "FORMER SECRET" }, { title: "FROM" }];
  const rows = processes.map(({ process, knowsNew: isKnown, former, from }) => [
    ...[process, isKnown ? "known" : "not known", former, from],
  ]);
  const lines = processes.flatMap(({ process, advice }) =>
    advice === null ? [] : [paragraph(`  ${process}: `, advice, screenOf(width))],
  );
  const head =
    formerUntil === null
      ? `${file} has one secret`
      : `${file} is being rotated: the former secret ends at ${formerUntil}`;
  return formatLine(head, screenOf(width)) + formatTable(columns, rows, width) + lines.join("");
}

function formerOf({ told }: SurveyedProcess, own: OwnSecrets): string {
  if (told.kind !== "status") return "-";
  const { former, id } = told.secret;
  if (former !== null) return `until ${time(former.untilMs)}`;
  return id === own.id ? "no longer" : "alone";
}

function duration(text: string): number {
  const parsed = parseDuration(text);
  if (parsed.kind === "ok" && parsed.value > 0) return parsed.value;
  throw new Error(`expected ${durationAccepted}, found ${JSON.stringify(text)}`);
}
