/**
 * Makes the calls from which this program concludes that a host or an application is gone, to an address where a
 * process listens (argument), without a free descriptor; prints one JSON object with the conclusions.
 */
import { closeSync, openSync } from "node:fs";
import { ChannelClient } from "../../src/control/channel/client.ts";
import { anyOf } from "../../src/control/channel/transcript.ts";
import { callJson } from "../../src/control/json-call.ts";
import { PlainHost, PlainEpochs } from "../../src/gateway/service/plain-host.ts";
import { checkHealth } from "../../src/host/application/health-check.ts";
import { predecessorProbe } from "../../src/host/primary/predecessor.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const port = Number(process.argv[2]);
const url = `http://127.0.0.1:${port}`;
const { signal } = new AbortController();
const channel = ChannelClient.ofOperator("a-secret-of-the-tests", systemClock);
const calls = async (): Promise<Record<string, string>> => {
  const plain = new PlainHost({
    ...{ service: "s", host: "h", controlUrl: `plain:${url}/`, epochs: new PlainEpochs(), clock: systemClock },
  });
  const call = { method: "GET", path: "/v1/status", timeoutMs: 2_000 } as const;
  const target = { host: "127.0.0.1", port };
  const predecessor = { host: "h", instance: "i", controlUrl: url };
  return {
    call: (await callJson({ baseUrl: url, caller: channel, to: anyOf("host"), clock: systemClock }, call)).kind,
    plain: (await plain.status(2_000)).kind,
    connection: (await checkHealth({ ...target, path: undefined }, signal)).kind,
    request: (await checkHealth({ ...target, path: "/" }, signal)).kind,
    predecessor: (
      await predecessorProbe({ channel, clock: systemClock, service: "s", ownControlUrl: url }).ask(predecessor, signal)
    ).kind,
  };
};

await calls(); // what is loaded late is loaded now
const held: number[] = [];
try {
  for (;;) held.push(openSync("/dev/null", "r"));
} catch {
  // None is left.
}
const concluded = await calls();
for (const descriptor of held) closeSync(descriptor);
process.stdout.write(JSON.stringify(concluded));
process.exit(0);
