/** The command line of `bun run bench:failover`; a wrong one ends the process with exit code 2. */
import { parseArgs } from "node:util";
import { demoApplicationNames } from "../../harness/applications.ts";
import { durationAccepted, parseDuration } from "../../src/config/units.ts";
import { type EventKind, eventKinds } from "../../src/demo/plan.ts";

/** Of `host.application.health`, with a path. */
const defaultPatience = "10s";

export interface Arguments {
  readonly app: "notes" | "ledger";
  readonly repetitions: number;
  readonly rate: number;
  readonly seed: number;
  readonly kinds: readonly EventKind[];
  readonly patience: string | undefined;
  readonly patienceMs: number;
  readonly isTls: boolean;
  readonly json: boolean;
}

export function readArguments(): Arguments {
  const usage = `accepted are --app notes|ledger, --repetitions N, --rate N, --seed N, --patience DURATION, --kinds ${eventKinds.join(",")}, --tls, --json`;
  try {
    const text = { type: "string" } as const;
    const { values } = parseArgs({
      options: {
        app: text,
        repetitions: text,
        rate: text,
        seed: text,
        patience: text,
        kinds: text,
        tls: { type: "boolean" },
        json: { type: "boolean" },
      },
    });
    const app = demoApplicationNames.find((name) => name === (values.app ?? "notes"));
    const whole = (given: string | undefined, otherwise: number): number => {
      if (given !== undefined && !/^[1-9]\d*$/.test(given))
        throw new Error(`expected a whole number above 0, found ${given}`);
      return given === undefined ? otherwise : Number(given);
    };
    if (app === undefined) throw new Error(`there is no application ${values.app}`);
    const unknown = values.kinds?.split(",").find((kind) => !eventKinds.some((known) => known === kind));
    if (unknown !== undefined) throw new Error(`there is no kind ${unknown}`);
    const kinds = eventKinds.filter((kind) => values.kinds?.split(",").includes(kind) ?? true);
    const { patience } = values;
    const parsed = parseDuration(patience ?? defaultPatience);
    if (parsed.kind === "malformed") throw new Error(`expected ${durationAccepted}, found ${patience}`);
    const numbers = {
      repetitions: whole(values.repetitions, 20),
      rate: whole(values.rate, 200),
      seed: whole(values.seed, 1),
    };
    return {
      app,
      ...numbers,
      kinds,
      patience,
      patienceMs: parsed.value,
      isTls: values.tls === true,
      json: values.json === true,
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}; ${usage}\n`);
    process.exit(2);
  }
}
