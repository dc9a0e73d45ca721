import { expect, test } from "bun:test";
import { watchCheckpoint } from "../../../src/cli/commands/watch-checkpoint.ts";
import type { CheckpointProgress } from "../../../src/control/host-status.ts";
import type { GatewayAnswer } from "../../../src/control/gateway-client.ts";
import type { ClusterStatus } from "../../../src/control/gateway-api.ts";
import { clusterStatus, host, service } from "../../support/gateway/status.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const progress = (bytes: number): CheckpointProgress => ({
  ...{ bytes, totalBytes: 1_000, bytesPerSecond: 10, leftMs: 5_000 },
});
const statusWith = (checkpointProgress: CheckpointProgress | null) =>
  clusterStatus({
    services: [
      service({ name: "shop", primary: "x", hosts: [host({ id: "x", checkpointProgress: progress(1) })] }),
      service({ hosts: [host({ id: "a", checkpointProgress }), host({ id: "b", checkpointProgress: progress(2) })] }),
    ],
  });

async function watch(target: { service?: string; host?: string }, answers: GatewayAnswer<ClusterStatus>[]) {
  const clock = new ManualClock();
  const end = new AbortController();
  const shown: string[] = [];
  const watching = watchCheckpoint({
    ...{ target, clock, signal: end.signal },
    output: { show: (what, { done, total, perSecond }) => shown.push(`${what}: ${done} of ${total}, ${perSecond}/s`) },
    ask() {
      const [answer = { kind: "ok", value: statusWith(null) }] = answers.splice(0, 1);
      return Promise.resolve(answer);
    },
  });
  const looks = answers.length;
  for (let look = 0; look < looks; look++) {
    clock.advance(1_000);
    while (answers.length > looks - look - 1 || clock.timers === 0) await Promise.resolve();
  }
  end.abort();
  await watching;
  return { shown, clock };
}

test("the checkpoint of the service's primary, or of the host that was named, is shown at each look", async () => {
  const ok = (bytes: number) => ({ kind: "ok", value: statusWith(progress(bytes)) }) as const;
  const { shown, clock } = await watch({ service: "notes" }, [ok(100), ok(200)]);
  expect(shown).toEqual(["writing a checkpoint: 100 of 1000, 10/s", "writing a checkpoint: 200 of 1000, 10/s"]);
  expect(clock.timers).toBe(0);
  expect((await watch({ service: "notes", host: "b" }, [ok(100)])).shown).toEqual([
    "writing a checkpoint: 2 of 1000, 10/s",
  ]);
});

test("a gateway that does not answer, and a checkpoint that is not written yet, say nothing", async () => {
  const silent = { kind: "failed", message: "ECONNREFUSED" } as unknown as GatewayAnswer<ClusterStatus>;
  const idle = { kind: "ok", value: statusWith(null) } as const;
  const writing = { kind: "ok", value: statusWith(progress(300)) } as const;
  const { shown } = await watch({ service: "notes" }, [silent, idle, writing]);
  expect(shown).toEqual(["writing a checkpoint: 300 of 1000, 10/s"]);
});
