import { describe, expect, test } from "bun:test";
import { RowReplica } from "../../../src/core/replication/replication.ts";
import { InstanceWatch, silentMs } from "../../../src/gateway/peers/instance-watch.ts";
import { membershipOf } from "../../../src/gateway/peers/membership.ts";
import { decodeRows, encodeRows } from "../../../src/gateway/peers/wire.ts";

const self = { id: "g1", adminUrl: "http://10.0.0.1:7700" };
const url = (n: number): string => `http://10.0.0.${n}:7700`;
const stamp = (ms: number): string => `${String(ms).padStart(15, "0")}-00000000`;

function replicaWith(...gateways: { id: string; n: number; deleted?: boolean }[]): RowReplica {
  const replica = new RowReplica("g1~1");
  gateways.forEach(({ id, n, deleted = false }, index) => {
    replica.write(
      { table: "gateways", key: id, values: { id, admin_url: url(n), started_at_ms: 1 }, deleted },
      stamp(index + 1),
    );
  });
  return replica;
}
interface Known {
  readonly met?: readonly string[];
  readonly answered?: readonly (readonly [string, string])[];
}
const ask = (seeds: number[], replica: RowReplica, { met = [], answered = [] }: Known = {}) => {
  const { links, registered } = membershipOf({
    ...{ self, seeds: seeds.map(url), replica },
    ...{ met: new Set(met), answered: new Map(answered) },
  });
  return { links: Object.fromEntries(links), registered };
};

describe("gateways that count", () => {
  test("a gateway without peers counts alone, and its own address in the file is not another gateway", () => {
    expect(ask([], replicaWith({ id: "g1", n: 1 }))).toEqual({ links: {}, registered: ["g1"] });
    expect(ask([1], replicaWith({ id: "g1", n: 1 }))).toEqual({ links: {}, registered: ["g1"] });
  });

  test("peers of the file count before they are met, so that a newcomer is no majority of one", () => {
    expect(ask([2, 3], replicaWith({ id: "g1", n: 1 }))).toEqual({
      links: { [url(2)]: undefined, [url(3)]: undefined },
      registered: ["g1", url(2), url(3)],
    });
  });

  test("once another gateway was met the registry counts, and addresses of the file are only tried", () => {
    expect(ask([2, 9], replicaWith({ id: "g1", n: 1 }, { id: "g2", n: 2 }), { met: ["g2"] })).toEqual({
      links: { [url(2)]: "g2", [url(9)]: undefined },
      registered: ["g1", "g2"],
    });
  });

  test("a second address of a known gateway is not another gateway", () => {
    expect(
      ask([2, 5], replicaWith({ id: "g1", n: 1 }, { id: "g2", n: 2 }), { answered: [[url(5), "g2"]] }).links,
    ).toEqual({
      [url(2)]: "g2",
    });
  });

  test("a removed gateway neither counts nor is asked, though the file names it", () => {
    const replica = replicaWith({ id: "g1", n: 1 }, { id: "g2", n: 2 }, { id: "g3", n: 3, deleted: true });
    expect(ask([2, 3], replica, { met: ["g2", "g3"] })).toEqual({
      links: { [url(2)]: "g2" },
      registered: ["g1", "g2"],
    });
  });

  test("a row alone counts for nothing: its gateway is asked, and counts once it was met, dead or not", () => {
    const replica = replicaWith({ id: "g1", n: 1 }, { id: "g2", n: 2 }, { id: "ghost", n: 9 });
    expect(ask([], replica)).toEqual({ links: { [url(2)]: "g2", [url(9)]: "ghost" }, registered: ["g1"] });
    expect(ask([], replica, { met: ["g2"] }).registered).toEqual(["g1", "g2"]);
  });

  test("an address of the file counts although its row was not met, so that a newcomer is no majority of one", () => {
    const replica = replicaWith({ id: "g1", n: 1 }, { id: "g2", n: 2 }, { id: "ghost", n: 9 });
    expect(ask([2, 3], replica).registered).toEqual(["g1", "g2", url(3)]);
  });
});

describe("one run per id", () => {
  test("the first run stays, and another is refused until the first is silent or has said goodbye", () => {
    const watch = new InstanceWatch();
    expect(watch.hear("g2", "g2~a", 0).kind).toBe("ok");
    expect(watch.hear("g2", "g2~b", 1_000)).toEqual({ kind: "duplicate", heardMsAgo: 1_000 });
    expect(watch.hear("g2", "g2~a", 2_000).kind).toBe("ok");
    expect(watch.hear("g2", "g2~b", 3_000).kind).toBe("duplicate");
    expect(watch.hear("g2", "g2~b", 2_000 + silentMs).kind).toBe("ok");
    expect(watch.hear("g2", "g2~a", 2_001 + silentMs).kind).toBe("duplicate");
    watch.goodbye("g2", "g2~b");
    expect(watch.hear("g2", "g2~c", 2_002 + silentMs).kind).toBe("ok");
  });
});

describe("rows on the wire", () => {
  const rows = [...replicaWith({ id: "g1", n: 1 }, { id: "g2", n: 2, deleted: true }).rows()];

  test("are read as they were written", () => {
    expect(decodeRows(encodeRows(rows), 1_000)).toEqual({
      kind: "ok",
      rows,
      refused: undefined,
      isWhole: true,
    });
  });

  test("of a newer version, with an unknown table or column, are refused as a whole", () => {
    const sent = encodeRows(rows);
    expect(decodeRows({ ...sent, tables: { gateways: [...(sent.tables["gateways"] ?? []), "zone"] } }, 1_000)).toEqual({
      kind: "unknown",
      why: "its column gateways.zone is not known here",
    });
    expect(decodeRows({ ...sent, tables: { ...sent.tables, zones: ["id"] } }, 1_000).kind).toBe("unknown");
    expect(decodeRows({ ...sent, tables: { gateways: ["id"] } }, 1_000).kind).toBe("unknown");
  });

  test("of an older version get the defaults of the columns that they lack", () => {
    const decoded = decodeRows(
      { tables: { services: ["name"] }, rows: [["services", "g2~1", 1, stamp(5), 0, ["notes"]]] },
      1_000,
    );
    expect(decoded).toMatchObject({
      kind: "ok",
      rows: [{ values: { name: "notes", match_host: null, match_path: null, paused: 0 } }],
    });
  });

  test("from a clock that is more than a day ahead are left out and named; a few minutes are accepted", () => {
    const at = (ms: number) =>
      decodeRows(
        { tables: { services: ["name"] }, rows: [["services", "g2~1", 1, stamp(ms), 0, ["notes"]]] },
        1_000_000,
      );
    expect(at(1_000_000 + 600_000)).toMatchObject({ kind: "ok", rows: [{ key: "notes" }], isWhole: true });
    expect(at(1_000_000 + 25 * 3600 * 1_000)).toMatchObject({
      kind: "ok",
      rows: [],
      isWhole: false,
      refused:
        "services notes, written by g2~1, is stamped 1970-01-02T01:16:40.000Z, more than a day ahead of this clock; correct the clock of the gateway that wrote it",
    });
  });
});
