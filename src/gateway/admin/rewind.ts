/**
 * Rewinding in the admin API: the primary prepares the earlier state while it serves, and steps down with it; the next
 * primary has it already when it takes over. Requests wait meanwhile, as in a switchover.
 */
import {
  type RewindAnswer,
  type RewindMoment,
  type RewindPlan,
  type RewindPrepared,
  type RewoundStatus,
  rewindRequestSchema,
} from "../../control/rewind-api.ts";
import type { HostAnswer } from "../../control/host-client.ts";
import type { HostControl } from "../../control/host-control.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import type { CommandOutcome } from "../../core/failover/state.ts";
import { describeRefusal } from "../../core/refusal.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { ServiceRuntime } from "../service/service.ts";

/** From the order to step down until the next primary serves. */
const stepDownMsMax = 600_000;
/** For how long a host may not have told of the rewind in its status. */
const toldMsMax = 5_000;
const lookMs = 50;

export function addRewind(app: Api, clock: Clock, find: (service: string | undefined) => ServiceRuntime): void {
  app.post("/v1/rewind", jsonBody(rewindRequestSchema), async (c) => {
    const { service, moment, dryRun } = c.req.valid("json");
    const found = find(service);
    return c.json(dryRun ? await planned(found, moment) : await rewind(found, moment, clock));
  });
}

interface Served {
  readonly host: string;
  readonly epoch: number;
  readonly client: HostControl;
}

/** Throws ApiRefusal. */
function primaryOf(service: ServiceRuntime): Served {
  const { primary, phase } = service.state;
  const client = primary === undefined ? undefined : service.clientOf(primary.host);
  if (primary === undefined || client === undefined || phase.kind !== "serving")
    throw new ApiRefusal("conflict", {
      found: `service ${service.name} has no primary that serves: it is ${phase.kind}`,
      accepted: "a primary that serves, which restores the earlier state and steps down with it",
      advice: "see `stead status`; `stead failover` replaces a lost primary",
    });
  return { host: primary.host, epoch: primary.epoch, client };
}

async function planned(service: ServiceRuntime, moment: RewindMoment): Promise<RewindAnswer> {
  const { host, client } = primaryOf(service);
  const plan = answerOf<RewindPlan>(host, await client.planRewind?.({ moment }));
  const { primary } = service.state;
  const nothing = { done: false, position: null, undoneTo: null };
  return { service: service.name, ...nothing, plan, primary: primary?.host ?? null, epoch: primary?.epoch ?? 0 };
}

async function rewind(service: ServiceRuntime, moment: RewindMoment, clock: Clock): Promise<RewindAnswer> {
  const { host, epoch, client } = primaryOf(service);
  const { id, plan } = answerOf<RewindPrepared>(host, await client.prepareRewind?.({ moment }));
  const outcome = await service.command({ kind: "rewind", id, epoch }, AbortSignal.timeout(stepDownMsMax));
  const failure = service.notRewound.get(id);
  service.notRewound.delete(id);
  const told = failure === undefined && outcome.kind === "done" ? await rewoundAt(service, plan, clock) : undefined;
  if (told === undefined || outcome.kind === "refused") {
    const why = whyNot(failure, outcome);
    service.recorder.recordEvent("error", "rewind-failed", host, `to position ${plan.to.position}: ${why.found}`);
    throw new ApiRefusal(why.code, why);
  }
  service.recorder.recordEvent("warning", "rewound", host, doneInWords(plan, told));
  return {
    ...{ service: service.name, done: true, plan, position: told.position, undoneTo: told.undoneTo },
    ...{ primary: outcome.primary ?? null, epoch: outcome.epoch },
  };
}

/** Throws ApiRefusal. */
function answerOf<T>(host: string, answer: HostAnswer<T> | undefined): T {
  if (answer?.kind === "ok") return answer.value;
  if (answer?.kind === "refused-by-host")
    throw new ApiRefusal("refused-by-host", {
      found: `${host}: ${describeRefusal(answer.refusal)}`,
      advice: "nothing was undone; `stead rewind --dry-run` says what a rewind would undo",
    });
  throw new ApiRefusal("no-answer", {
    found: `${host} did not prepare a rewind: ${answer?.message ?? "a plain host has no vault"}`,
    advice: "nothing was undone; see `stead status`; hosts of an older version cannot rewind",
  });
}

/** Until a host has told of it: the next primary has read it before it claimed. */
async function rewoundAt(service: ServiceRuntime, plan: RewindPlan, clock: Clock): Promise<RewoundStatus | undefined> {
  const until = clock.now() + toldMsMax;
  for (;;) {
    for (const id of service.state.hosts.keys()) {
      const rewound = service.monitorOf(id)?.status?.rewound;
      if (rewound?.to.position === plan.to.position && rewound.undoneTo >= plan.end.position) return rewound;
    }
    if (clock.now() >= until) return undefined;
    await clock.sleep(lookMs);
  }
}

function whyNot(failure: string | undefined, outcome: CommandOutcome) {
  const advice = "the service continues with the state that it had; see `stead status`, and try again";
  if (failure !== undefined) return { code: "conflict" as const, found: `it could not be made: ${failure}`, advice };
  if (outcome.kind === "refused") return { code: outcome.code, found: outcome.why, advice: outcome.advice };
  const found = "the primary changed, and no host has told of a rewind: it ended before the rewind was in the log";
  return { code: "conflict" as const, found, advice };
}

const doneInWords = ({ to, undone }: RewindPlan, { undoneTo }: RewoundStatus): string =>
  `the state is again that of position ${to.position} (${new Date(to.wallTimeMs).toISOString()}); undone: positions ${to.position + 1} to ${undoneTo}, ${undone.flushes} flushes or more; \`stead rewind --position ${undoneTo}\` brings them back`;
