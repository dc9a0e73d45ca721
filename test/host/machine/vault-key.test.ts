import { expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { keyFrom, vaultKeyOf } from "../../../src/host/machine/vault-key.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";

const secret = "a secret of the cluster, long enough";
const key = "a-key-of-the-vault-0123456789";
const folder = tmpdir();
const run = (script: string) => ({ kind: "command" as const, command: ["sh", "-c", script] as const, folder });

test("the cluster's secret opens the vault, unless there is a key for it", async () => {
  expect(await vaultKeyOf({ secret })).toBe(secret);
  expect(await vaultKeyOf({ secret, vaultKey: { kind: "key", key } })).toBe(key);
  expect(await vaultKeyOf({ secret, vaultKey: run(`echo ${key}`) })).toBe(key);
});

test("the program runs in the configuration's folder, without stead's variables", async () => {
  process.env["STEAD_TEST_OF_KEYS"] = "0123456789";
  try {
    expect(await keyFrom(run('printf "%s:%s" "$(pwd -P | tr / -)" "${STEAD_TEST_OF_KEYS:-none}-0123456789"'))).toBe(
      `${folder.replaceAll("/", "-")}:none-0123456789`,
    );
  } finally {
    delete process.env["STEAD_TEST_OF_KEYS"];
  }
});

test.each([
  ["exit 3", "it ended with 3"],
  ["echo no such key >&2; exit 1", "no such key"],
  ["echo short", "it printed 5 characters"],
  [`echo ${key}; echo ${key}`, "it printed"],
  ["yes 0123456789", "more than 4096 bytes"],
  ["kill -9 $$", "SIGKILL"],
])("a program that does not print a key is refused: %s", async (script, found) => {
  const failure = await failureOf(keyFrom(run(script)));
  expect(failure).toMatchObject({ area: "configuration" });
  expect(String(failure)).toContain(found);
});

test("a program that cannot be started, or does not end, is refused, also if it left others behind", async () => {
  const none = await failureOf(keyFrom({ kind: "command", command: ["/no/such/program"], folder }));
  expect(String(none)).toContain("cannot be started");
  const limited = await failureOf(keyFrom(run("sleep 600 & sleep 600"), 50));
  expect(String(limited)).toContain("did not end within 0.05 s");
});
