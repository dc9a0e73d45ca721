import { afterEach, beforeEach, expect, test } from "bun:test";
import { until } from "../../support/gateway/cluster.ts";
import { TestGateways } from "../../support/gateway/gateways.ts";

let cluster: TestGateways;
beforeEach(() => {
  cluster = new TestGateways();
});
afterEach(() => cluster.stop());

/** Hosts a (best), b, c; gateways g1, g2, ... of which each but the first is told of the first only. */
async function begin(gateways: number): Promise<void> {
  await Promise.all([
    cluster.addHost("a", { priority: 2, witness: true }),
    cluster.addHost("b", { priority: 1, witness: true }),
    cluster.addHost("c", { witness: true }),
  ]);
  const first = await cluster.add("g1", []);
  for (let n = 2; n <= gateways; n++) await cluster.add(`g${n}`, [first]);
  await cluster.together(gateways);
  await Promise.all([...cluster.gateways.values()].map((gateway) => gateway.serving("a")));
}

const failovers = "select count(*) from failovers where kind <> 'first' and outcome = 'done'";

test("three gateways: a killed primary makes exactly one failover, and all end with the same rows", async () => {
  await begin(3);
  cluster.host("a").signal("SIGKILL");
  await Promise.all(["g1", "g2", "g3"].map((id) => cluster.at(id).serving("b")));
  await cluster.sameRows();
  for (const id of ["g1", "g2", "g3"]) {
    expect(await cluster.at(id).sql("select epoch, host from epochs order by epoch")).toBe('[[1,"a"],[2,"b"]]');
    expect(await cluster.at(id).sql(failovers)).toBe("[[1]]");
  }
}, 30_000);

test("a gateway that alone is cut from the primary is overruled by the others", async () => {
  await begin(3);
  cluster.wire("g3", "a").cut(true);
  await until(async () => (await cluster.at("g3").service())?.hosts.find(({ id }) => id === "a")?.health === "down");
  await until(async () => (await cluster.at("g3").service())?.events.some(({ what }) => what === "failover-vetoed"));
  cluster.wire("g3", "a").cut(false);
  await cluster.at("g3").serving("a");
  expect(await cluster.at("g1").sql("select max(epoch) from epochs")).toBe("[[1]]");
  expect(await cluster.at("g3").sql(failovers)).toBe("[[0]]");
}, 30_000);

test("an isolated gateway cannot replace a healthy primary: the candidate's witness refuses", async () => {
  await begin(3);
  for (const id of ["g1", "g2"]) cluster.at(id).process?.kill("SIGSTOP");
  cluster.wire("g3", "a").cut(true);
  await until(async () =>
    (await cluster.at("g3").service())?.events.some(
      ({ what, detail }) => what === "promotion-failed" || (what === "failover-vetoed" && detail.includes("1 of 3")),
    ),
  );
  for (const id of ["g1", "g2"]) cluster.at(id).process?.kill("SIGCONT");
  cluster.wire("g3", "a").cut(false);
  await Promise.all(["g1", "g2", "g3"].map((id) => cluster.at(id).serving("a")));
  expect(await cluster.at("g3").sql("select max(epoch) from epochs")).toBe("[[1]]");
  await cluster.sameRows();
}, 30_000);

test("two of three gateways that are cut from the primary replace it", async () => {
  await begin(3);
  for (const id of ["g2", "g3"]) cluster.wire(id, "a").cut(true);
  await Promise.all(["g1", "g2", "g3"].map((id) => cluster.at(id).serving("b")));
  for (const id of ["g2", "g3"]) cluster.wire(id, "a").cut(false);
  await cluster.sameRows();
  expect(await cluster.at("g1").sql("select max(epoch) from epochs")).toBe("[[2]]");
}, 30_000);

test("two gateways, one dies together with the primary: the other fails over by the candidate's witness", async () => {
  await begin(2);
  await Promise.all([cluster.at("g1").end("SIGKILL"), cluster.host("a").end()]);
  await cluster.at("g2").serving("b");
  await cluster.start("g1");
  await cluster.at("g1").serving("b");
  await cluster.together(2);
  await cluster.sameRows();
  expect(await cluster.at("g1").sql("select epoch, host from epochs order by epoch")).toBe('[[1,"a"],[2,"b"]]');
}, 30_000);

test("the gateway that acts is killed in the middle of the failover: one failover, and all end with the same rows", async () => {
  await Promise.all([
    cluster.addHost("a", { priority: 2, witness: true }),
    cluster.addHost("b", { priority: 1, witness: true, startMs: 1_000 }),
  ]);
  const first = await cluster.add("g1", []);
  for (const id of ["g2", "g3"]) await cluster.add(id, [first]);
  await cluster.together(3);
  await Promise.all(["g1", "g2", "g3"].map((id) => cluster.at(id).serving("a")));
  cluster.host("a").signal("SIGKILL");
  const acting = await until(async () => {
    for (const gateway of cluster.gateways.values())
      if ((await gateway.service())?.phase === "promoting") return gateway;
    return false;
  });
  await acting.end("SIGKILL");
  const left = ["g1", "g2", "g3"].filter((id) => id !== acting.id);
  await Promise.all(left.map((id) => cluster.at(id).serving("b")));
  await cluster.start(acting.id);
  await cluster.together(3);
  await acting.serving("b");
  await cluster.sameRows();
  expect(await acting.sql("select epoch, host from epochs order by epoch")).toBe('[[1,"a"],[2,"b"]]');
}, 30_000);
