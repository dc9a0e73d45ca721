import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { comparedViews, differencesOf, type GatewayRows, whenSame } from "../../harness/gateway-rows.ts";
import { sealedHandler } from "../support/control/sealed.ts";
import { systemClock as clock } from "../../src/runtime/clock.ts";

const rows = (...each: (readonly (string | number | null)[])[]): GatewayRows => ({ kind: "rows", rows: each });

describe("the rows of two gateways", () => {
  test("are the same in any order", () => {
    expect(
      differencesOf(
        "hosts",
        new Map([
          ["a", rows(["x", 1], ["y", null])],
          ["b", rows(["y", null], ["x", 1])],
        ]),
      ),
    ).toEqual([]);
  });

  test("differ when one lacks a row, has another, or has one twice", () => {
    const reference = rows(["x", 1], ["y", 2]);
    for (const other of [
      rows(["x", 1]),
      rows(["x", 1], ["y", 3]),
      rows(["x", 1], ["y", 2], ["y", 2]),
      rows(["x", "1"], ["y", 2]),
    ]) {
      expect(
        differencesOf(
          "hosts",
          new Map([
            ["a", reference],
            ["b", other],
          ]),
        ).length,
      ).toBeGreaterThan(0);
      expect(
        differencesOf(
          "hosts",
          new Map([
            ["a", other],
            ["b", reference],
          ]),
        ).length,
      ).toBeGreaterThan(0);
    }
  });

  test("differ when the third of three does, and the line says how", () => {
    const same = rows(["x", 1]);
    expect(
      differencesOf(
        "epochs",
        new Map([
          ["a", same],
          ["b", same],
          ["c", rows(["x", 2])],
        ]),
      ),
    ).toEqual(['epochs: c has ["x",2], a has not', 'epochs: a has ["x",1], c has not']);
  });

  test("differ when a gateway does not answer, first or last", () => {
    const silent: GatewayRows = { kind: "none", why: "reset: gone" };
    expect(
      differencesOf(
        "hosts",
        new Map([
          ["a", silent],
          ["b", rows()],
        ]),
      ),
    ).toEqual(["hosts: a does not tell: reset: gone"]);
    expect(
      differencesOf(
        "hosts",
        new Map([
          ["a", rows()],
          ["b", silent],
        ]),
      ),
    ).toEqual(["hosts: b does not tell: reset: gone"]);
  });

  test("are not the same when no gateway was asked for them", () => {
    expect(differencesOf("hosts", new Map())).toHaveLength(1);
  });
});

/** The admin SQL of a gateway, as far as it is asked here. */
class FakeAdmin {
  readonly asked: string[] = [];
  readonly #server: Server;

  constructor(rowsOf: (view: string, nth: number) => readonly (readonly (string | number)[])[]) {
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")));
      request.on("end", () => {
        const { sql } = JSON.parse(body) as { sql: string };
        const view = sql.replace("select * from ", "");
        this.asked.push(view);
        const nth = this.asked.filter((one) => one === view).length;
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ columns: ["a"], rows: rowsOf(view, nth), truncated: view === "too-long" }));
      });
    };
    this.#server = createServer(sealedHandler("s".repeat(32), { role: "gateway", id: "g" }, answer));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe("convergence of gateways", () => {
  const admins: FakeAdmin[] = [];
  afterEach(async () => {
    for (const admin of admins.splice(0)) await admin.close();
  });

  async function converge(
    withinMs: number,
    ...answers: ConstructorParameters<typeof FakeAdmin>[0][]
  ): ReturnType<typeof whenSame> {
    const gateways = [];
    for (const [index, rowsOf] of answers.entries()) {
      const admin = new FakeAdmin(rowsOf);
      admins.push(admin);
      gateways.push({ id: `gateway-${index + 1}`, adminUrl: await admin.listen() });
    }
    return whenSame({
      gateways,
      caller: "s".repeat(32),
      clock,
      sinceMs: clock.now(),
      withinMs,
      signal: new AbortController().signal,
    });
  }

  test("is found when all views of all gateways are the same, and every view is asked for", async () => {
    const { ms, differences } = await converge(
      10_000,
      (view) => [[view]],
      (view) => [[view]],
    );
    expect(ms).not.toBeNull();
    expect(differences).toEqual([]);
    expect([...new Set(admins[0]?.asked)].sort()).toEqual([...comparedViews].sort());
  });

  test("is waited for while one gateway lags behind", async () => {
    const { ms } = await converge(
      10_000,
      () => [[1]],
      (_, nth) => (nth < 4 ? [] : [[1]]),
    );
    expect(ms).not.toBeNull();
    expect(admins[1]?.asked.filter((view) => view === "events")).toHaveLength(4);
  });

  for (const view of comparedViews) {
    test(`is not found when one of three gateways has another row in ${view}`, async () => {
      const other: ConstructorParameters<typeof FakeAdmin>[0] = (asked) => (asked === view ? [["other"]] : [["same"]]);
      const { ms, differences } = await converge(
        30,
        () => [["same"]],
        () => [["same"]],
        other,
      );
      expect(ms).toBeNull();
      expect(differences).toEqual([
        `${view}: gateway-3 has ["other"], gateway-1 has not`,
        `${view}: gateway-1 has ["same"], gateway-3 has not`,
      ]);
    });
  }

  test("is not found while a gateway does not answer", async () => {
    const gone = new FakeAdmin(() => []);
    const adminUrl = await gone.listen();
    await gone.close();
    const well = new FakeAdmin(() => []);
    admins.push(well);
    const gateways = [
      { id: "a", adminUrl: await well.listen() },
      { id: "b", adminUrl },
    ];
    const { ms, differences } = await whenSame({
      gateways,
      caller: "s".repeat(32),
      clock,
      sinceMs: clock.now(),
      withinMs: 30,
      signal: new AbortController().signal,
    });
    expect(ms).toBeNull();
    expect(differences[0]).toContain("b does not tell");
  });
});
