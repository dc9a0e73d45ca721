import { expect, test } from "bun:test";
import { checkNames, findFaults } from "../../../src/cli/doctor/checks.ts";
import type { Machine } from "../../../src/cli/doctor/machine.ts";

const healthy: Machine = {
  clocks: [{ of: "gw2", aheadMs: -1_200 }],
  folders: [{ key: "host.data", path: "/data", state: "writable", unsuitable: undefined }],
  secretFiles: [{ path: "/etc/stead/stead.secret", mode: 0o600 }],
  listeners: [{ key: "gateway.listen", address: "0.0.0.0:80", state: "free" }],
  descriptors: undefined,
  disks: [{ path: "/data", freeBytes: 50, totalBytes: 1_000 }],
  vault: { kind: "written", ms: 250, leaseMs: 1_000 },
  advertised: [{ key: "host.advertise_control", url: "http://10.0.0.1:7701", isReachableFromOthers: true }],
};

const shortage = { found: "a limit of 64 open files", accepted: "at least 512", advice: "raise it" };

/** One planted fault for each check, and what must be named. */
const planted: Readonly<Record<(typeof checkNames)[number], readonly [Partial<Machine>, names: string]>> = {
  clock: [{ clocks: [{ of: "gw2", aheadMs: 61_000 }] }, "gw2 is 61 s ahead"],
  mount: [
    { folders: [{ key: "host.vault", path: "/mnt/vault", state: "missing", unsuitable: undefined }] },
    "host.vault: there is no folder /mnt/vault",
  ],
  modes: [
    { folders: [{ key: "host.data", path: "/data", state: "read-only", unsuitable: undefined }] },
    "cannot write to /data",
  ],
  ports: [
    { listeners: [{ key: "gateway.listen", address: "0.0.0.0:80", state: "taken" }] },
    "gateway.listen: 0.0.0.0:80 is in use",
  ],
  secret: [{ secretFiles: [{ path: "/etc/stead/stead.secret", mode: 0o644 }] }, "mode 0644"],
  descriptors: [{ descriptors: shortage }, "64 open files"],
  disk: [{ disks: [{ path: "/data", freeBytes: 49, totalBytes: 1_000 }] }, "/data"],
  vault: [{ vault: { kind: "written", ms: 251, leaseMs: 1_000 } }, "251 ms, with a lease of 1000 ms"],
  addresses: [
    { advertised: [{ key: "host.advertise_control", url: "http://127.0.0.1:7701", isReachableFromOthers: false }] },
    "http://127.0.0.1:7701",
  ],
};

test("a healthy machine has no fault", () => {
  expect(findFaults(healthy)).toEqual([]);
});

for (const check of checkNames)
  test(`a planted fault of ${check} is the only one that is named, with what is accepted and what to do`, () => {
    const [change, names] = planted[check];
    const faults = findFaults({ ...healthy, ...change });
    expect(faults.map((fault) => fault.check)).toEqual([check]);
    expect(faults[0]).toMatchObject({ found: expect.stringContaining(names) });
    expect(faults[0]?.accepted).not.toBe("");
    expect(faults[0]?.advice).not.toBe("");
  });

test("all faults of a machine are named at once", () => {
  const { modes, mount, ...others } = planted;
  const all = [...Object.values(others), modes].map(([change]) => change);
  const folders = [...(modes[0].folders ?? []), ...(mount[0].folders ?? [])];
  expect(findFaults(Object.assign({}, healthy, ...all, { folders })).map(({ check }) => check)).toEqual([
    ...checkNames,
  ]);
});
