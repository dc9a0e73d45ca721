/** What a host finds out about `host.application.user` on this machine, as that user. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ApplicationUserError, assertUser, checkUser } from "../../../src/host/application/user-checks.ts";

const otherUid = 65_534;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-user-"));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);

function check(user: string, databases: readonly string[] = []) {
  return checkUser(configOf(user), databases);
}

const configOf = (user: string) => ({
  applicationUser: { user, group: undefined, privateFiles: [at("secret")] },
  application: { cwd: folder, command: ["/bin/true"] } as never,
  dataFolder: at("data"),
  stateFolder: at("data.stead"),
  vaultUrl: pathToFileURL(at("vault")).href,
});

test.skipIf(process.geteuid?.() === 0)("a host that is not root is refused, with what it needs", () => {
  const { findings } = check("nobody");
  expect(findings).toMatchObject([{ kind: "refused", found: `this process runs as user ${process.geteuid?.()}` }]);
});

describe.skipIf(process.geteuid?.() !== 0)("a host that is root (tests for root)", () => {
  beforeEach(() => {
    for (const name of ["data", "data.stead", "vault"]) mkdirSync(at(name), { mode: 0o700 });
    chownSync(at("data"), otherUid, otherUid);
    writeFileSync(at("secret"), "a secret of the cluster", { mode: 0o600 });
  });

  test("of several files of another user names the first, and says how many there are", () => {
    for (const name of ["a.db", "b.db", "c.db"]) writeFileSync(at(`data/${name}`), "");
    const found = ({ findings }: ReturnType<typeof check>): string => (findings[0] as { found: string }).found;
    expect(found(check("nobody", ["a.db"]))).toEndWith("a.db, which belongs to user 0");
    expect(found(check("nobody", ["a.db", "b.db", "c.db"]))).toEndWith("a.db, which belongs to user 0 (and 2 more)");
  });

  test("takes a user that has the data folder and nothing else", () => {
    expect(check("nobody")).toMatchObject({
      findings: [],
      user: { uid: otherUid, home: expect.stringMatching(/^\//) },
    });
    expect(assertUser(configOf("nobody"), [], () => undefined)).toMatchObject({ uid: otherUid });
  });

  test.each<[string, () => void, string]>([
    ["a secret that it can read", () => chmodSync(at("secret"), 0o644), "secret, which has a secret of the cluster"],
    [
      "a secret of its own",
      () => chownSync(at("secret"), otherUid, otherUid),
      "secret, which has a secret of the cluster",
    ],
    ["a data folder of another user", () => chownSync(at("data"), 1, 1), "data, which belongs to user 1"],
    ["a data folder that it cannot write", () => chmodSync(at("data"), 0o500), "data, which is closed to"],
    ["a folder that it cannot pass", () => chmodSync(folder, 0o700), "data, which is closed to"],
    ["a database of another user", () => writeFileSync(at("data/notes.db"), ""), "notes.db, which belongs to user 0"],
  ])("refuses %s, and names it", (_, make, text) => {
    make();
    const { findings } = check("nobody", ["notes.db"]);
    expect(
      findings
        .filter(({ kind }) => kind === "refused")
        .map(({ found }) => found)
        .join("\n"),
    ).toContain(text);
    expect(() => assertUser(configOf("nobody"), ["notes.db"], () => undefined)).toThrow(ApplicationUserError);
  });

  test("refuses a user that the machine does not know", () => {
    expect(check("no-such-user").findings).toMatchObject([{ kind: "refused", key: "application.user" }]);
  });

  test.each(["data.stead", "vault"])("warns of %s if the user can write there", (name) => {
    chmodSync(at(name), 0o777);
    expect(check("nobody").findings).toMatchObject([{ kind: "warned", found: expect.stringContaining(at(name)) }]);
  });

  test("has a data folder made for the user that is not there yet", () => {
    rmSync(at("data"), { recursive: true });
    expect(check("nobody").findings).toEqual([]);
  });
});
