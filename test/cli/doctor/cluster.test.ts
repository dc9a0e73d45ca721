import { expect, test } from "bun:test";
import { type Cluster, clusterCheckNames, findClusterFaults, type HostLook } from "../../../src/cli/doctor/cluster.ts";

const told = { version: "1.0.0", clockAheadMs: 300, secrets: ["s1"] };
const gateway = (id: string, change: Partial<typeof told> = {}): Cluster["gateways"][number] => ({
  ...{ url: `http://10.0.0.${id}:7700`, saidBy: "the configuration", expectedId: id },
  answer: { kind: "status", id, told: { ...told, ...change }, unheard: [] },
});
const host = (id: string, change: Partial<NonNullable<HostLook["told"]>> = {}): HostLook => ({
  ...{ service: "notes", id, controlUrl: `http://10.0.1.${id}:7701`, heardBy: ["1", "2"], unheardBy: [] },
  opens: { control: true, data: true },
  told: {
    ...told,
    ...{ controlUrl: `http://10.0.1.${id}:7701`, dataUrl: `http://10.0.1.${id}:8001`, leaseMs: 1_000 },
    vault: { id: "v1", latencyMs: 250, error: undefined },
    ...change,
  },
});

const healthy: Cluster = {
  version: "1.0.0",
  gateways: [gateway("1"), gateway("2")],
  hosts: [host("3"), host("4")],
};
const withHost = (change: HostLook): Cluster => ({ ...healthy, hosts: [host("3"), change] });
const withGateway = (change: Cluster["gateways"][number]): Cluster => ({
  ...healthy,
  gateways: [gateway("1"), change],
});

test("a healthy cluster has no fault", () => {
  expect(findClusterFaults(healthy)).toEqual([]);
});

for (const { plant, check, names, cluster } of [
  {
    plant: "a host's clock",
    check: "clock",
    names: "the clock of host 4 of notes is 59.7 s ahead",
    cluster: withHost(host("4", { clockAheadMs: 60_000 })),
  },
  {
    plant: "this machine's clock",
    check: "clock",
    names: "the clock of this machine is 60 s behind",
    cluster: {
      ...healthy,
      gateways: [gateway("1", { clockAheadMs: 60_000 }), gateway("2", { clockAheadMs: 60_000 })],
      hosts: [host("3", { clockAheadMs: 60_000 })],
    },
  },
  {
    plant: "a gateway that refuses the secret",
    check: "secret",
    names: "the gateway at http://10.0.0.2:7700 refuses the secret",
    cluster: withGateway({ ...gateway("2"), answer: { kind: "secret-refused", why: "another secret" } }),
  },
  {
    plant: "a host that refuses the gateways' secret",
    check: "secret",
    names: "host 4 of notes refuses the secret",
    cluster: withHost({
      ...host("4"),
      ...{ heardBy: [], told: undefined, unheardBy: [{ gateway: "1", why: "it has another secret" }] },
    }),
  },
  {
    plant: "a host that was left behind by a rotation",
    check: "secret",
    names: "host 4 of notes has another secret",
    cluster: withHost(host("4", { secrets: ["s0"] })),
  },
  {
    plant: "a host of another version",
    check: "versions",
    names: "host 4 of notes is of version 0.9.0; most of the cluster is of 1.0.0",
    cluster: withHost(host("4", { version: "0.9.0" })),
  },
  {
    plant: "a gateway of a version that does not tell",
    check: "versions",
    names: "gateway 2 is of an earlier version",
    cluster: withGateway({
      ...gateway("2"),
      answer: { kind: "status", id: "2", told: { ...told, version: undefined }, unheard: [] },
    }),
  },
  {
    plant: "a slow vault",
    check: "vault",
    names: "host 4 of notes needs 251 ms for a put into the vault, with a lease of 1000 ms",
    cluster: withHost(host("4", { vault: { id: "v1", latencyMs: 251, error: undefined } })),
  },
  {
    plant: "another vault",
    check: "vault",
    names: "host 4 of notes uses the vault v2",
    cluster: withHost(host("4", { vault: { id: "v2", latencyMs: 1, error: undefined } })),
  },
  {
    plant: "a vault that cannot be written",
    check: "vault",
    names: "host 4 of notes cannot write to the vault: ENOSPC",
    cluster: withHost(host("4", { vault: { id: "v1", latencyMs: 1, error: "ENOSPC" } })),
  },
  {
    plant: "a gateway that does not answer at its address",
    check: "addresses",
    names: "the configuration says that gateway 2 is at http://10.0.0.2:7700, which does not answer",
    cluster: withGateway({ ...gateway("2"), answer: { kind: "silent", why: "connection refused" } }),
  },
  {
    plant: "the address of another gateway",
    check: "addresses",
    names: "gateway 5 is at http://10.0.0.2:7700, where gateway 2 answers",
    cluster: withGateway({ ...gateway("2"), expectedId: "5" }),
  },
  {
    plant: "a gateway that another one does not reach",
    check: "addresses",
    names: "gateway 2 has no exchange with 1 at http://127.0.0.1:7700: connection refused",
    cluster: withGateway({
      ...gateway("2"),
      answer: {
        ...{ kind: "status", id: "2", told },
        unheard: [{ id: "1", url: "http://127.0.0.1:7700", why: "connection refused" }],
      },
    }),
  },
  {
    plant: "a host that one gateway does not hear",
    check: "addresses",
    names: "gateway 2 does not hear it at http://10.0.1.4:7701: timeout",
    cluster: withHost({ ...host("4"), heardBy: ["1"], unheardBy: [{ gateway: "2", why: "timeout" }] }),
  },
  {
    plant: "a data address that means another machine",
    check: "addresses",
    names: "its advertise_data is http://127.0.0.1:8001",
    cluster: withHost({ ...host("4", { dataUrl: "http://127.0.0.1:8001" }), opens: { control: true, data: false } }),
  },
  {
    plant: "a data address that takes no connection",
    check: "addresses",
    names: "its data address http://10.0.1.4:8001 takes no connection",
    cluster: withHost({ ...host("4"), opens: { control: true, data: false } }),
  },
  {
    plant: "a host of the configuration that no gateway knows",
    check: "addresses",
    names: "host 4 of notes: no gateway that answers knows it",
    cluster: withHost({ ...host("4"), heardBy: [], told: undefined }),
  },
] as const)
  test(`${plant} is the only fault that is named, with what is accepted and what to do`, () => {
    const faults = findClusterFaults(cluster);
    expect(faults.map((fault) => fault.check)).toEqual([check]);
    expect(faults[0]).toMatchObject({
      ...{ found: expect.stringContaining(names), accepted: expect.stringMatching(/./) },
      advice: expect.stringMatching(/./),
    });
  });

test("from outside of the cluster's network nothing is said of the way to a data address", () => {
  expect(findClusterFaults(withHost({ ...host("4"), opens: { control: false, data: false } }))).toEqual([]);
});

test("each check finds something in a cluster in which everything is wrong", () => {
  const worst: Cluster = {
    version: "1.0.0",
    gateways: [gateway("1"), { ...gateway("2"), answer: { kind: "silent", why: "timeout" } }],
    hosts: [
      host("3", {
        clockAheadMs: -9_000,
        version: "2",
        secrets: ["other"],
        vault: { id: "v", latencyMs: 900, error: "x" },
      }),
    ],
  };
  expect([...new Set(findClusterFaults(worst).map(({ check }) => check))]).toEqual([...clusterCheckNames]);
});
