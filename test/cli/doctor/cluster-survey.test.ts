/** What the gateways of a cluster say of each other and of hosts, as the survey understands it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import { findClusterFaults } from "../../../src/cli/doctor/cluster.ts";
import { surveyCluster } from "../../../src/cli/doctor/cluster-survey.ts";
import type { ClusterStatus } from "../../../src/control/gateway-api.ts";
import type { GatewayAnswer } from "../../../src/control/gateway-client.ts";
import { versionText } from "../../../src/runtime/program-version.ts";
import { clusterStatus, host, service } from "../../support/gateway/status.ts";

let open: Server;
let openUrl = "";
beforeAll(async () => {
  open = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => open.listen(0, "127.0.0.1", () => resolve()));
  const address = open.address();
  openUrl = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
});
afterAll(() => void open.close());

const entry = (id: string, change = {}) => ({
  ...{ id, adminUrl: `http://${id}:7700`, self: false, heardMsAgo: 10, trouble: null },
  ...change,
});
const program = () => ({ version: versionText(), wallTimeMs: Date.now(), vaultUrl: null });
const secret = { id: "s1", former: null, from: "file", file: null, vaultServer: null, vaultKeys: null } as const;

function gatewayOf(id: string, others: readonly string[], hostChange = {}): () => GatewayAnswer<ClusterStatus> {
  const a = host({
    ...{ id: "a", controlUrl: openUrl, dataUrl: openUrl, health: "up", heardMsAgo: 5, secret },
    program: { version: versionText(), clockAheadMs: 0, controlUrl: openUrl, vaultUrl: null },
    ...hostChange,
  });
  return () => ({
    kind: "ok",
    value: clusterStatus({
      ...{ gateway: id, secret, program: program() },
      gateways: [entry(id, { self: true }), ...others.map((other) => entry(other))],
      services: [service({ hosts: [a] })],
    }),
  });
}

const survey = (answers: Readonly<Record<string, () => GatewayAnswer<ClusterStatus>>>, gateways: readonly string[]) => {
  const asked: string[] = [];
  const clientOf = (url: string) => ({
    cluster: () => {
      asked.push(url);
      return Promise.resolve(answers[url]?.() ?? { kind: "refused" as const, message: "connection refused" });
    },
  });
  const from = { gateways, hosts: [] };
  return surveyCluster(from, clientOf, new AbortController().signal).then((cluster) => ({ cluster, asked }));
};

test("every gateway that one of them knows is asked once, and a healthy cluster has no fault", async () => {
  const answers = { "http://g1:7700": gatewayOf("g1", ["g2"]), "http://g2:7700": gatewayOf("g2", ["g1"]) };
  const { cluster, asked } = await survey(answers, ["http://g1:7700"]);
  expect(asked).toEqual(["http://g1:7700", "http://g2:7700"]);
  expect(cluster.hosts).toMatchObject([{ id: "a", heardBy: ["g1", "g2"], opens: { control: true, data: true } }]);
  expect(findClusterFaults(cluster)).toEqual([]);
});

test("a gateway that is silent is named once, with the gateway that names it", async () => {
  const { cluster } = await survey({ "http://g1:7700": gatewayOf("g1", ["g2"]) }, ["http://g1:7700", "http://g2:7700"]);
  expect(findClusterFaults(cluster).map(({ check, found }) => [check, found])).toEqual([
    ["addresses", expect.stringContaining("http://g2:7700, which does not answer: connection refused")],
  ]);
});

test("another version, a wrong clock and another secret of a host are those that a gateway heard", async () => {
  const change = {
    program: { version: "0.0.1", clockAheadMs: 90_000, controlUrl: openUrl, vaultUrl: null },
    secret: { ...secret, id: "s2" },
  };
  const answers = {
    "http://g1:7700": gatewayOf("g1", ["g2"], change),
    "http://g2:7700": gatewayOf("g2", ["g1"], change),
  };
  const { cluster } = await survey(answers, ["http://g1:7700"]);
  expect(findClusterFaults(cluster).map(({ check }) => check)).toEqual(["clock", "secret", "versions"]);
});
