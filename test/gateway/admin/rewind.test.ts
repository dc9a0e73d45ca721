import { expect, test } from "bun:test";
import type { HostControl } from "../../../src/control/host-control.ts";
import type { RewindAnswer, RewindPlan, RewoundStatus } from "../../../src/control/rewind-api.ts";
import { createApi } from "../../../src/control/server/api.ts";
import type { Command, CommandOutcome } from "../../../src/core/failover/state.ts";
import { addRewind } from "../../../src/gateway/admin/rewind.ts";
import type { ServiceRuntime } from "../../../src/gateway/service/service.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const plan: RewindPlan = {
  to: { position: 7, epoch: 1, wallTimeMs: 1_000 },
  end: { position: 9, wallTimeMs: 2_000 },
  undone: {
    ...{ flushes: 2, bytes: 8_192, firstMs: 1_500, lastMs: 2_000, fileChanges: 0, databasesTotal: 1 },
    databases: [{ name: "notes.db", pages: 2 }],
  },
  keptForMs: 60_000,
};
const moment = { kind: "position", position: 7 } as const;
const told: RewoundStatus = { position: 12, atMs: 3_000, to: { position: 7, wallTimeMs: 1_000 }, undoneTo: 11 };

interface World {
  readonly phase?: string;
  readonly client?: Partial<HostControl>;
  readonly outcome?: CommandOutcome;
  readonly notRewound?: string;
  readonly rewound?: RewoundStatus;
}

const prepared: Partial<HostControl> = {
  planRewind: () => Promise.resolve({ kind: "ok", value: plan }),
  prepareRewind: () => Promise.resolve({ kind: "ok", value: { id: "r1", validMs: 1, plan } }),
};
const done: CommandOutcome = { kind: "done", primary: "b", epoch: 2, failover: undefined };

/** `a` is primary; `b` has told of a rewind, if there is one. */
async function ordered(world: World, body: object) {
  const { phase = "serving", client = prepared, outcome = done, notRewound, rewound } = world;
  const commands: Command[] = [];
  const events: string[] = [];
  const service = {
    name: "notes",
    notRewound: new Map(notRewound === undefined ? [] : [["r1", notRewound]]),
    state: { primary: { host: "a", epoch: 1 }, phase: { kind: phase }, hosts: new Map([["b", {}]]) },
    clientOf: () => client,
    monitorOf: () => ({ status: { rewound: rewound ?? null } }),
    command(command: Command) {
      commands.push(command);
      return Promise.resolve(outcome);
    },
    recorder: { recordEvent: (level: string, what: string) => events.push(`${level} ${what}`) },
  } as unknown as ServiceRuntime;
  const app = createApi({
    ...{ part: "gateway", manual: "" },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
  const clock = new ManualClock();
  addRewind(app, clock, () => service);
  const headers = { "content-type": "application/json" };
  const answering = app.request("/v1/rewind", { method: "POST", headers, body: JSON.stringify(body) });
  let isAnswered = false;
  void Promise.resolve(answering).then(() => (isAnswered = true));
  while (!isAnswered) {
    clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const answer = await answering;
  const said = (await answer.json()) as RewindAnswer & { error?: string };
  return { commands, events, status: answer.status, said };
}

test("a rewind is prepared by the primary, which steps down with it, and is done once a host has told of it", async () => {
  const { commands, events, status, said } = await ordered({ rewound: told }, { moment });
  expect(commands).toEqual([{ kind: "rewind", id: "r1", epoch: 1 }]);
  expect([status, said]).toEqual([
    200,
    { service: "notes", done: true, plan, position: 12, undoneTo: 11, primary: "b", epoch: 2 },
  ]);
  expect(events).toEqual(["warning rewound"]);
});

test("a dry run asks for the plan, and orders nothing", async () => {
  const { commands, events, said } = await ordered({}, { moment, dryRun: true });
  expect([commands, events]).toEqual([[], []]);
  expect(said).toMatchObject({ done: false, plan, position: null, primary: "a", epoch: 1 });
});

test("without a primary that serves, on a plain host, and where the host refuses, nothing is ordered", async () => {
  for (const [world, error] of [
    [{ phase: "down" }, "no primary that serves"],
    [{ client: {} }, "a plain host has no vault"],
    [{ client: { ...prepared, prepareRewind: refusing } }, "it is restoring"],
    [{ client: { ...prepared, prepareRewind: unanswered } }, "answered with 404"],
  ] as const) {
    const { commands, status, said } = await ordered(world, { moment });
    expect([commands, status]).toEqual([[], 409]);
    expect(said.error).toContain(error);
  }
});

const refusing: NonNullable<HostControl["prepareRewind"]> = () =>
  Promise.resolve({ kind: "refused-by-host", refusal: { kind: "not_ready", reason: "it is restoring" } });
const unanswered: NonNullable<HostControl["prepareRewind"]> = () =>
  Promise.resolve({ kind: "invalid", message: "/v1/rewind/prepare was answered with 404" });

test("is not done if the host could not make it, the order was refused, or no host has read of it", async () => {
  const older = { ...told, undoneTo: 8 };
  const refused: CommandOutcome = { kind: "refused", code: "conflict", why: "it was refused", advice: "try again" };
  for (const [world, error] of [
    [{ notRewound: "no room", rewound: told }, "it could not be made: no room"],
    [{ outcome: refused, rewound: told }, "it was refused"],
    [{ rewound: older }, "no host has told of a rewind"],
    [{}, "no host has told of a rewind"],
  ] as const) {
    const { events, status, said } = await ordered(world, { moment });
    expect([status, events]).toEqual([409, ["error rewind-failed"]]);
    expect(said.error).toContain(error);
  }
});
