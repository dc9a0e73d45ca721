import { expect, test } from "bun:test";
import type { HostControl } from "../../../src/control/host-control.ts";
import type { RestorePoints } from "../../../src/control/restore-points.ts";
import { createApi } from "../../../src/control/server/api.ts";
import { addRestorePoints } from "../../../src/gateway/admin/restore-points.ts";
import type { ServiceRuntime } from "../../../src/gateway/service/service.ts";

const points: RestorePoints = {
  ...{ total: 0, checkpoints: [], damaged: [], earliest: null, older: [], latest: null },
  keep: { checkpoints: 3, windowMs: 1 },
};
const away = { kind: "refused", message: "connection refused" } as const;
type Answer = Awaited<ReturnType<NonNullable<HostControl["restorePoints"]>>> | "plain";

/** The primary is `a`; `d` is down. */
async function asked(answers: Readonly<Record<string, Answer>>) {
  const asked: string[] = [];
  const ids = ["a", "b", "c", "d"];
  const service = {
    name: "notes",
    state: {
      primary: { host: "a" },
      hosts: new Map(ids.map((id) => [id, { id, health: { kind: id === "d" ? "down" : "up" } }])),
    },
    clientOf(id: string) {
      const answer = answers[id] ?? away;
      const call = () => Promise.resolve(answer).finally(() => asked.push(id));
      return answer === "plain" ? {} : { restorePoints: call };
    },
  } as unknown as ServiceRuntime;
  const app = createApi({
    part: "gateway",
    manual: "docs/GATEWAY-API.md",
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
  addRestorePoints(app, () => service);
  const answer = await app.request("/v1/restore-points/notes");
  return { asked, status: answer.status, body: (await answer.json()) as { error?: string; host?: string } };
}

test("a secondary reads the vault, so that the primary has only its own work", async () => {
  const { asked: hosts, status, body } = await asked({ b: { kind: "ok", value: points } });
  expect([hosts, status, body]).toEqual([["b"], 200, { service: "notes", host: "b", ...points } as typeof body]);
});

test("each host that is not down is asked, the primary last", async () => {
  const { asked: hosts, body } = await asked({ b: away, c: "plain", a: { kind: "ok", value: points } });
  expect([hosts, body.host]).toEqual([["b", "a"], "a"]);
});

test("if none answers, it says why the last one did not", async () => {
  const { status, body } = await asked({});
  expect([status, body.error]).toEqual([409, "no host that could tell answered (a: connection refused)"]);
});
