/**
 * `bun run proof:notify`: whole gateways tell each failover exactly once.
 *
 * Three gateways and three hosts as real processes; each gateway notifies a receiver that counts, and one that takes
 * every request and never answers. The primary is killed `--count` times (50), with the acting gateway in the middle of
 * five of these failovers. In the end each takeover of a host was received once. Of other notifications one may come
 * twice, with the same id: its gateway was killed between the receiver's answer and the row that says so.
 *
 * Exit code 1 when a failover was not received, or received twice, or not five gateways were killed while they acted.
 */
import { appendFileSync, mkdtempSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { demoApplication } from "../harness/applications.ts";
import { Cluster, type GatewayMember } from "../harness/cluster.ts";
import { GatewayView } from "../harness/gateway-view.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { GatewayClient } from "../src/control/gateway-client.ts";
import { primaryNotificationId } from "../src/core/notify/notification.ts";
import { turnMs } from "../src/core/notify/teller.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";

const service = "notes";
const withinMs = 60_000;
const strikes = 5;
const lookEveryMs = 5;
const restartAfterMs = 1_000;
/** A primary that is lost sooner after it took over counts for the brake. */
const restMs = 2_500;
/** A notification of a gateway that died is told by another one within this. */
const toldWithinMs = 30_000;
const never = new AbortController().signal;

const { values } = parseArgs({ options: { count: { type: "string", default: "50" } } });
const count = Number(values.count);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

interface Received {
  readonly id: string;
  readonly kind: string;
}

/** Answers every notification, or none. */
async function receiver(onReceived: ((one: Received) => void) | undefined): Promise<Server> {
  const server = createServer((request, response) => {
    if (onReceived === undefined) return;
    const onFailed = (): void => void response.destroy();
    textOf(request).then((text) => {
      const { kind } = JSON.parse(text) as { readonly kind: string };
      onReceived({ id: String(request.headers["stead-notification"]), kind });
      response.end();
    }, onFailed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

class Proof {
  readonly #cluster: Cluster;
  /** Gateways that were killed while they promoted a host. */
  struck = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async failOver(isStrike: boolean): Promise<void> {
    const host = await this.#cluster.whenWhole(withinMs, never);
    await clock.sleep(restMs);
    host.process?.signal("SIGKILL");
    const gateway = isStrike ? await this.#strike() : undefined;
    await clock.sleep(restartAfterMs);
    await Promise.all(
      [host, gateway].map(async (member) => {
        if (member === undefined) return;
        await member.process?.ended;
        await this.#cluster.start(member);
      }),
    );
    await this.#cluster.whenWhole(withinMs, never);
    await this.#whenServing();
  }

  /** Kills the gateway that promotes a host, if one is seen. */
  async #strike(): Promise<GatewayMember | undefined> {
    const until = clock.now() + withinMs;
    while (clock.now() < until) {
      for (const gateway of this.#cluster.gateways)
        if ((await phaseOf(this.viewOf(gateway))) === "promoting") {
          gateway.process?.signal("SIGKILL");
          this.struck += 1;
          return gateway;
        }
      if ((await this.#cluster.primary()) !== undefined) return undefined;
      await clock.sleep(lookEveryMs);
    }
    return undefined;
  }

  async #whenServing(): Promise<void> {
    for (const gateway of this.#cluster.gateways)
      while (
        !(await this.viewOf(gateway)
          .isServing()
          .catch(() => false))
      )
        await clock.sleep(lookEveryMs);
  }

  viewOf(gateway: GatewayMember): GatewayView {
    return new GatewayView(gateway.adminUrl, this.#cluster.caller, service, clock);
  }
}

const phaseOf = (view: GatewayView): Promise<string | undefined> =>
  view.service().then(
    ({ phase }) => phase,
    () => undefined,
  );

/** Ids of what each takeover is told as, by the rows of one gateway, which has those of all. */
async function expected(cluster: Cluster): Promise<string[]> {
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("the cluster has no gateway");
  const client = new GatewayClient(gateway.adminUrl, cluster.caller, clock);
  const answer = await client.sql({ sql: "select epoch from epochs where epoch > 1 order by epoch" });
  if (answer.kind !== "ok") throw new Error(`the gateway did not answer: ${JSON.stringify(answer)}`);
  return answer.value.rows.map(([epoch]) => primaryNotificationId(service, Number(epoch)));
}

async function prove(): Promise<boolean> {
  const received: Received[] = [];
  const counting = await receiver((one) => void received.push(one));
  const hanging = await receiver(undefined);
  try {
    const application = demoApplication(service, folder);
    const cluster = await Cluster.create({
      ...{ folder, service, application, hosts: 3, gateways: 3, keeper, clock },
    });
    for (const { configFile } of cluster.gateways)
      for (const [name, server] of [["counting", counting] as const, ["hanging", hanging] as const])
        appendFileSync(configFile, `\n[[notify]]\nname = "${name}"\nto = "webhook"\nurl = "${urlOf(server)}"\n`);
    await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
    const proof = new Proof(cluster);
    for (let nth = 1; nth <= count; nth += 1) {
      await proof.failOver(proof.struck < strikes && nth % Math.max(1, Math.floor(count / (2 * strikes))) === 0);
      if (nth % 10 === 0) say(`${nth} failovers, ${proof.struck} gateways killed while they acted`);
    }
    return await verdict(cluster, received, proof.struck);
  } finally {
    for (const server of [counting, hanging]) {
      server.closeAllConnections();
      server.close();
    }
  }
}

async function verdict(cluster: Cluster, received: readonly Received[], struck: number): Promise<boolean> {
  const failovers = await expected(cluster);
  const timesOf = (id: string): number => received.filter((one) => one.id === id).length;
  const until = clock.now() + toldWithinMs;
  while (failovers.some((id) => timesOf(id) === 0) && clock.now() < until) await clock.sleep(100);
  // One that is told twice is so within the turns of the gateways.
  await clock.sleep(3 * turnMs);
  const lost = failovers.filter((id) => timesOf(id) === 0);
  const twice = failovers.filter((id) => timesOf(id) > 1);
  say(`${failovers.length} failovers: ${lost.length} not received, ${twice.length} received more than once`);
  for (const id of [...lost, ...twice]) say(`  ${id}: ${timesOf(id)} times`);
  const others = new Set(received.flatMap(({ id, kind }) => (kind === "failover" ? [] : [id])));
  const repeated = [...others].filter((id) => timesOf(id) > 1);
  say(
    `${others.size} other notifications, ${repeated.length} repeated because their gateway was killed in that moment`,
  );
  say(`gateways killed while they acted: ${struck}`);
  return lost.length === 0 && twice.length === 0 && failovers.length >= count && struck >= strikes;
}

const folder = mkdtempSync(join(tmpdir(), "stead-proof-notify-"));
const keeper = new ProcessKeeper(folder);
try {
  process.exitCode = (await prove()) ? 0 : 1;
} finally {
  await keeper.close(5_000);
}
