/**
 * Rule: the units of examples/systemd let the processes do what they need and little else. `systemd-analyze security`
 * gave 8.8 (gateway) and 8.9 (host, vault server) before these lines; what it gives now must not rise.
 *
 * The settings that would break the program are named in the units and refused here: capture reads /proc of all
 * processes, the host makes cgroups, runtimes compile to machine code.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "../../examples/systemd");
const pathOf = (name: string): string => join(folder, `stead-${name}.service`);

/** Each setting with its last value. */
const settings = (name: string): ReadonlyMap<string, string> =>
  new Map(
    [...readFileSync(pathOf(name), "utf8").matchAll(/^([A-Z]\w*)=(.*)$/gm)].map(([, key = "", value = ""]) => [
      key,
      value,
    ]),
  );

const all = {
  UMask: "0077",
  LimitCORE: "0",
  NoNewPrivileges: "yes",
  ProtectSystem: "strict",
  PrivateTmp: "yes",
  RestrictAddressFamilies: "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
  LoadCredential: "stead.secret:/etc/stead/stead.secret",
};
const units = [
  { name: "gateway", bound: 2, has: { ...all, MemoryMax: "2G", CapabilityBoundingSet: "CAP_NET_BIND_SERVICE" } },
  { name: "host", bound: 2.5, has: { ...all, MemoryMax: "80%", CapabilityBoundingSet: "", Delegate: "yes" } },
  {
    name: "vault",
    bound: 2,
    has: { ...all, MemoryMax: "2G", CapabilityBoundingSet: "", ReadWritePaths: "-/srv/vault" },
  },
];
/** What each unit must leave as it is. */
const breaking: Readonly<Record<string, readonly string[]>> = {
  vault: ["MemoryDenyWriteExecute", "PrivateUsers", "ProcSubset"],
  gateway: ["MemoryDenyWriteExecute", "PrivateUsers", "RemoveIPC", "ProcSubset"],
  host: [
    ...["MemoryDenyWriteExecute", "PrivateUsers", "RemoveIPC", "ProcSubset"],
    ...["ProtectProc", "PrivatePIDs", "ProtectControlGroups", "PrivateMounts", "DynamicUser"],
  ],
};

const analyze = Bun.which("systemd-analyze");

describe.each(units)("the unit of a $name", ({ name, bound, has }) => {
  test("has what bounds it, and nothing that breaks it", () => {
    const found = settings(name);
    expect(Object.fromEntries(found)).toMatchObject(has);
    expect((breaking[name] ?? []).filter((key) => found.has(key))).toEqual([]);
  });

  test("names the credential that it loads as the configuration is to name it", () => {
    expect(readFileSync(pathOf(name), "utf8")).toContain(
      `secret_file = "/run/credentials/stead-${name}.service/stead.secret"`,
    );
  });

  test.skipIf(analyze === null)("has at most the exposure that it had", () => {
    const command = [analyze ?? "", "security", "--offline=true", "--no-pager", pathOf(name)];
    const { stdout } = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C.UTF-8" } });
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout.toString())?.[1]);
    expect(exposure).toBeGreaterThan(0);
    expect(exposure).toBeLessThanOrEqual(bound);
  });
});
