import { expect, test } from "bun:test";
import type { HostAnswer } from "../../../src/control/host-client.ts";
import type { HostStatus } from "../../../src/control/host-status.ts";
import type { HostControl } from "../../../src/control/host-control.ts";
import { RemovedHosts } from "../../../src/gateway/service/removed-hosts.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { until } from "../../support/host/log-fixture.ts";

type Answer = HostAnswer<HostStatus>;
const down: Answer = { kind: "refused", message: "connection refused" };
/** A host of an older version, which does not have the call. */
const unknownCall: Answer = { kind: "invalid", message: "/v1/removed was answered with 404" };

/** A clock whose pauses are over at once. */
const hasty: Clock = { ...systemClock, sleep: (_delayMs, signal) => systemClock.sleep(0, signal) };

function clientOf(answers: Answer[]): { client: HostControl; asked: () => number } {
  let asked = 0;
  const never = (): never => {
    throw new Error("only the removal is told");
  };
  const client: HostControl = {
    ...{
      status: never,
      streamStatus: never,
      promote: never,
      demote: never,
      checkpoint: never,
      rehearse: never,
      clearSuspects: never,
    },
    removed: () => {
      asked += 1;
      return Promise.resolve(answers.shift() ?? down);
    },
  };
  return { client, asked: () => asked };
}

test("a host that is down when it is removed is told when it answers again", async () => {
  const removed = new RemovedHosts(hasty);
  const { client, asked } = clientOf([down, down, down, unknownCall]);
  removed.tell("app1", client);
  await until(() => asked() === 4);
  await removed.close();
  expect(asked()).toBe(4);
});

test("a host is no longer told that it was removed once it is registered again, or once the gateway closes", async () => {
  const removed = new RemovedHosts(hasty);
  const [first, second] = [clientOf([]), clientOf([])];
  removed.tell("app1", first.client);
  removed.tell("app2", second.client);
  await until(() => first.asked() > 2 && second.asked() > 2);
  removed.forget("app1");
  await removed.close();
  const before = [first.asked(), second.asked()];
  await new Promise((resolve) => setImmediate(resolve));
  expect([first.asked(), second.asked()]).toEqual(before);
});
