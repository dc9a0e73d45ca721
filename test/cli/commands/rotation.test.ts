import { expect, test } from "bun:test";
import { adviceFor, knowsNew, nextStep, type SurveyedProcess } from "../../../src/cli/commands/rotation.ts";
import type { SecretStatus } from "../../../src/control/secret-status.ts";

const file = "/etc/stead/stead.secret";
const one = { id: "old", former: undefined };
const both = { id: "new", former: { id: "old", untilMs: 1_000 } };

const status = (name: string, change: Partial<SecretStatus> = {}): SurveyedProcess => ({
  name,
  told: {
    kind: "status",
    secret: { id: "old", former: null, from: "file", file, vaultServer: null, vaultKeys: null, ...change },
  },
});
const rotated = { id: "new", former: both.former };
const silent = (name: string): SurveyedProcess => ({ name, told: { kind: "silent", why: "ECONNREFUSED" } });

test("a rotation begins when all have the secret of the file, and no other", () => {
  expect(nextStep(one, [status("gateway:g1"), status("host:notes/a")])).toEqual({ kind: "begin" });
});

test("a second rotation does not begin while another file is ahead, or the former secret is still valid somewhere", () => {
  const elsewhere = { kind: "elsewhere", names: ["host:notes/a"] } as const;
  expect(nextStep(one, [status("gateway:g1"), status("host:notes/a", rotated)])).toEqual(elsewhere);
  expect(
    nextStep({ id: "new", former: undefined }, [status("gateway:g1", { id: "new" }), status("host:notes/a", rotated)]),
  ).toEqual(elsewhere);
  expect(nextStep(one, [status("gateway:g1"), status("host:notes/a", { id: "new" })])).toEqual(elsewhere);
});

test("the former secret is not taken away before every known process knows the new one", () => {
  const server = (takes: boolean): SurveyedProcess => ({ name: "vault:stead://v:1", told: { kind: "proof", takes } });
  const known = [status("gateway:g1", rotated), status("host:notes/a", rotated)];
  expect(nextStep(both, [...known, server(true)])).toEqual({ kind: "finish" });
  for (const behind of [status("host:notes/b"), silent("gateway:g2"), server(false)])
    expect(nextStep(both, [...known, behind])).toEqual({ kind: "wait", names: [behind.name] });
});

test("a host for which the vault's keys do not open with the new secret is not ready", () => {
  const host = status("host:notes/a", { ...rotated, vaultKeys: { opens: false, secrets: 1 } });
  expect([knowsNew(host, "new"), nextStep(both, [host]).kind]).toEqual([false, "wait"]);
  expect(adviceFor(host, both, file)).toContain("vault's keys");
});

test("a former secret that still opens the vault's keys after the rotation is named, with the command", () => {
  const host = (secrets: number, change: Partial<SecretStatus> = {}) =>
    status("host:notes/a", { id: "new", vaultKeys: { opens: true, secrets }, ...change });
  const own = { id: "new", former: undefined };
  expect(adviceFor(host(2), own, file)).toContain("stead vault rekey");
  expect(adviceFor(host(1), own, file)).toBeUndefined();
  expect(adviceFor(host(2, rotated), own, file)).toBeUndefined();
  expect(adviceFor(host(2, rotated), both, file)).toBeUndefined();
});

test("a process that need not know the new secret is left out by its name only", () => {
  const processes = [status("gateway:g1", rotated), silent("host:notes/b")];
  expect(nextStep(both, processes, ["host:notes/c"]).kind).toBe("wait");
  expect(nextStep(both, processes, ["host:notes/b"]).kind).toBe("finish");
});

test("the advice says what to do on the process's machine, by where its secret is from", () => {
  const advice = (change: Partial<SecretStatus>) => adviceFor(status("host:notes/a", change), both, file);
  expect(advice(rotated)).toBeUndefined();
  expect(advice({ file: "/srv/secret" })).toContain(`copy ${file} to /srv/secret`);
  expect(advice({ file: "/run/credentials/stead-host.service/stead.secret" })).toContain("restart it");
  expect(advice({ from: "environment", file: null })).toContain("restart it with the new one");
  expect(advice({ from: "configuration", file: "/etc/stead/stead.toml" })).toContain("secret_file");
  expect(adviceFor(silent("host:notes/b"), both, file)).toContain("--without host:notes/b");
});
