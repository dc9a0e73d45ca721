import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ClusterStatus } from "../../../src/control/gateway-api.ts";
import { formatStatus } from "../../../src/cli/commands/status.ts";
import { formatTable } from "../../../src/cli/output/table.ts";
import { formatCsv, formatRows } from "../../../src/cli/commands/sql.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { runStead } from "../../support/cli/run-cli.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
let url: string;
beforeAll(async () => {
  cluster = new TestCluster();
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
  await cluster.startGateway();
  await cluster.serving();
  url = `127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
});
afterAll(() => cluster.stop());

const stead = (...args: string[]) =>
  runStead([...args], { env: { STEAD_SECRET: secret, STEAD_GATEWAY: url }, cwd: cluster.folder });

describe("commands that talk to a gateway", () => {
  test("status: a table, an object, and 9 while there is no primary that serves", async () => {
    const table = await stead("status");
    expect(table.code).toBe(0);
    expect(table.out).toContain("service notes: serving, primary a, epoch 1");
    expect(table.out).toMatch(/^a +primary +up +1 +10 +0 +1 +traffic$/m);
    const object = JSON.parse((await stead("status", "--json")).out) as ClusterStatus;
    expect(object.services[0]?.primary).toBe("a");
  });

  test("doctor --cluster asks the gateway, and names its wrong address and the hosts of another version", async () => {
    const { code, out } = await stead("doctor", "--cluster", "--json");
    const { ok, faults } = JSON.parse(out) as { ok: boolean; faults: { check: string; found: string }[] };
    expect([code, ok]).toEqual([9, false]);
    // The gateway of this test advertises another port than its own, and its hosts tell nothing of their program.
    expect(faults.map(({ check, found }) => `${check}: ${found.split(/ is of |, which /)[0]}`)).toEqual([
      "versions: host a of notes",
      "versions: host b of notes",
      "addresses: gateway g1 says that gateway g1 is at http://127.0.0.1:1",
    ]);
  });

  test("switchover and failover: done, refused with 5, and what would happen", async () => {
    expect((await stead("switchover", "unregistered")).code).toBe(5);
    const moved = await stead("switchover", "b");
    expect([moved.code, moved.out.split("\n")[0]]).toEqual([0, "service notes: b is primary, epoch 2"]);
    const refused = await stead("failover");
    expect([refused.code, refused.out]).toEqual([5, ""]);
    expect(refused.err).toContain("the primary b is serving");
    await until(() => cluster.service().hosts.every(({ role }) => role === "primary" || role === "secondary"));
    const plan = await stead("failover", "--dry-run");
    expect([plan.code, plan.out.split("\n")[1]]).toEqual([0, "would promote: a"]);
    expect((await stead("failover", "--dry-run", "--force")).code).toBe(2);
    const forced = await stead("failover", "--force", "--json");
    expect([forced.code, (JSON.parse(forced.out) as { primary: string }).primary]).toEqual([0, "a"]);
  });

  test("suspects: shown with the primary, an event and a metric, handed to the next primary, and cleared on all hosts", async () => {
    const told = () =>
      cluster
        .service()
        .hosts.filter(({ suspects }) => suspects.length > 0)
        .map(({ id }) => id);
    const settled = () =>
      cluster.service().phase === "serving" &&
      cluster
        .service()
        .hosts.every(({ id, role }) => role === (id === cluster.service().primary ? "primary" : "secondary"));
    await until(settled);
    const primary = cluster.service().primary ?? "";
    await fetch(`${cluster.host(primary).controlUrl}/fake/suspect`);
    await until(() => told().includes(primary));
    expect((await stead("status")).out).toContain("GET /crash is set aside");
    const metrics = await (
      await fetch(`http://${url}/metrics`, { headers: { authorization: `Bearer ${secret}` } })
    ).text();
    expect(metrics).toContain(`stead_host_suspects{service="notes",host="${primary}"} 1\n`);
    const other = primary === "a" ? "b" : "a";
    expect(await stead("switchover", other)).toMatchObject({ code: 0, err: "" });
    await until(() => told().includes(other));
    const cleared = await stead("suspects", "clear");
    expect([cleared.code, cleared.out]).toEqual([0, "service notes: nothing is set aside any more, on a, b\n"]);
    await until(() => told().length === 0);
    const events = cluster
      .service()
      .events.filter(({ what }) => what.startsWith("suspect"))
      .map(({ what, host }) => `${what} ${host}`);
    expect(events.toSorted()).toEqual([
      "suspect-cleared a",
      "suspect-cleared b",
      "suspect-request a",
      "suspect-request b",
    ]);
    expect((await stead("suspects", "clear", "nothing")).code).not.toBe(0);
    await until(settled);
    if (cluster.service().primary !== "a") expect((await stead("switchover", "a")).code).toBe(0);
    await until(settled);
  });

  test("hosts: add, list, remove", async () => {
    expect((await stead("hosts", "add", "x", "http://127.0.0.1:9", "--priority", "3")).code).toBe(0);
    expect((await stead("hosts", "list")).out).toMatch(
      /^notes +x +http:\/\/127\.0\.0\.1:9 +3 +\(its own\) +operator$/m,
    );
    expect((await stead("hosts", "remove", "x")).code).toBe(0);
    expect((await stead("hosts", "remove", "x")).code).toBe(5);
    expect((await stead("hosts", "add", "x", "ftp://nowhere")).code).toBe(2);
  });

  test("pause, resume and checkpoint", async () => {
    expect((await stead("pause")).out).toStartWith("service notes: automation is paused");
    expect(cluster.service().paused).toBe(true);
    expect((await stead("resume")).out).toBe("service notes: automation is on\n");
    const timed = await stead("pause", "--for", "1s", "--reason", "new disks");
    expect(timed.out).toStartWith("service notes: automation is paused for 1s;");
    expect(cluster.service().pause?.reason).toBe("new disks");
    expect((await stead("sql", "--csv", "select pause_reason from services")).out).toBe(
      "pause_reason\r\nnew disks\r\n",
    );
    await until(() => !cluster.service().paused);
    expect(cluster.service().events.at(-1)).toMatchObject({
      what: "resume",
      detail: expect.stringMatching(/^the pause is over \(until \S+Z; new disks\)/),
    });
    const row = await stead("sql", "--csv", "select paused, pause_reason, paused_until from services");
    expect(row.out).toBe("paused,pause_reason,paused_until\r\n0,,\r\n");
    for (const given of [
      ["--for", "30"],
      ["--for", "31d"],
      ["--for", "0s"],
    ])
      expect((await stead("pause", ...given)).code).toBe(2);
    expect((await stead("pause", "--reason", " ")).code).not.toBe(0);
    expect((await stead("checkpoint")).out).toStartWith("service notes: checkpoint at position 10");
  });

  test("sql: table, csv, object, refusal", async () => {
    expect((await stead("sql", "select 1 as one, 'x' as two")).out).toBe("one  two\n  1  x\n");
    expect((await stead("sql", "--csv", "select 'a,b' as x, null as y")).out).toBe('x,y\r\n"a,b",\r\n');
    expect(JSON.parse((await stead("sql", "--json", "select 1 as x")).out)).toEqual({
      columns: ["x"],
      rows: [[1]],
      truncated: false,
    });
    const limited = await stead("sql", "--rows", "1", "values (1), (2)");
    expect(limited.err).toContain("only the first 1 rows");
    expect((await stead("sql", "drop table t_hosts")).code).toBe(5);
  });

  test("name the gateway that does not answer, and what is missing, with an exit code for each", async () => {
    const refused = await stead("status", "--gateway", `127.0.0.1:${await freePort()}`);
    expect(refused.code).toBe(6);
    expect(refused.err).toContain("connection refused");
    const folder = { cwd: cluster.folder };
    expect((await runStead(["status"], { env: { STEAD_SECRET: secret }, ...folder })).code).toBe(3);
    expect((await runStead(["status", "--gateway", url], { env: {}, ...folder })).code).toBe(3);
    expect((await runStead(["status", "--gateway", url], { env: { STEAD_SECRET: "wrong" }, ...folder })).code).toBe(5);
    expect((await stead("status", "--gateway", "not an address")).code).toBe(2);
  });
});

describe("how it looks", () => {
  test("tables have aligned columns and let nothing through that moves a cursor", () => {
    expect(
      formatTable(
        [{ title: "A" }, { title: "N", align: "right" }],
        [
          ["x", "1"],
          ["longer\u001b[2J", "22"],
        ],
      ),
    ).toBe("A               N\nx               1\nlonger\\x1b[2J  22\n");
  });

  test("rows of numbers go to the right, null is a dash, blobs say what they are", () => {
    const answer = {
      columns: ["n", "t"],
      rows: [
        [1.23456, null],
        [22, { base64: "AA==" }],
      ],
      truncated: false,
    };
    expect(formatRows(answer)).toBe("    n  t\n1.235  -\n   22  base64:AA==\n");
    expect(formatCsv(answer)).toBe("n,t\r\n1.235,\r\n22,base64:AA==\r\n");
  });

  test("a long last column is broken between words; rows that stay too wide become one line per column", () => {
    const events = {
      columns: ["host", "detail"],
      rows: [
        ["a", `${"word ".repeat(9)}end`],
        ["b", "short"],
      ],
      truncated: false,
    };
    expect(formatRows(events, 40)).toBe(
      "host  detail\na     word word word word word word word\n      word word end\nb     short\n",
    );
    const wide = { columns: ["id", "name", "n"], rows: [["x".repeat(30), "y".repeat(30), 1]], truncated: false };
    expect(formatRows(wide, 40)).toBe(`row 1\n  id    ${"x".repeat(30)}\n  name  ${"y".repeat(30)}\n  n     1\n`);
    expect(
      formatRows({ columns: ["a_title_that_is_wider_than_the_terminal"], rows: [], truncated: false }, 10),
    ).toStartWith("a_title");
  });

  test("no line of a status is longer than a terminal, and a failed host says once why and what to do", () => {
    const status = cluster.gateway?.status();
    const service = status?.services[0];
    if (status === undefined || service === undefined) throw new Error("no service");
    const reason = `the application ended ${"again and ".repeat(20)}again`;
    const hosts = service.hosts.map((host) => ({
      ...host,
      role: "failed" as const,
      reason,
      notes: [reason, `did not become primary: ${reason}`],
    }));
    const text = formatStatus(
      { ...status, services: [{ ...service, hosts, reason: `no host can take over: ${reason}` }] },
      0,
    );
    expect(text.split("\n").filter((line) => line.length > 100)).toEqual([]);
    expect(text.match(/^ {2}a, b: /gm)?.length).toBe(2);
    expect(text).toContain("  a, b: do: fix the cause");
  });

  test("status says what is wrong before anything else", () => {
    const status = cluster.gateway?.status();
    if (status === undefined) throw new Error("no gateway");
    const text = formatStatus({ ...status, troubles: ["the database is gone"] }, 0);
    expect(text.split("\n")[1]).toBe("WARNING: the database is gone");
  });

  test("status shows what a dead host was, and a note once, with the hosts that say it", () => {
    const status = cluster.gateway?.status();
    const service = status?.services[0];
    if (status === undefined || service === undefined) throw new Error("no service");
    const hosts = service.hosts.map((host) => ({
      ...host,
      role: "primary" as const,
      health: "down" as const,
      reason: "it broke",
      notes: ["it broke", "look at it"],
    }));
    const text = formatStatus({ ...status, services: [{ ...service, routedTo: null, hosts }] }, 0);
    expect(text).toMatch(/^b +was primary +down .* look at it$/m);
    expect(text).toMatch(/^ {2}a, b: it broke$/m);
  });
});
