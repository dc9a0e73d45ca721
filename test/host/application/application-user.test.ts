/** Which ids an application runs with, and how the user is looked up. */
import { expect, test } from "bun:test";
import { commandAs, environmentAs, resolveUser } from "../../../src/host/application/application-user.ts";

/** Answers like getent(1) and id(1) of a machine with one user in three groups. */
function machine([program, what, name]: readonly string[]): string | undefined {
  const answers: Readonly<Record<string, string>> = {
    "getent passwd notes": "notes:x:900:901:Notes:/srv/notes:/bin/sh",
    "getent passwd root": "root:x:0:0:root:/root:/bin/bash",
    "getent group media": "media:x:44:notes",
    "id -G notes": "901 44 27",
  };
  return answers[`${program} ${what} ${name}`];
}

const resolved = (user: string, group?: string) => resolveUser({ user, group }, machine);

test("a user has its own group and its supplementary ones", () => {
  expect(resolved("notes")).toMatchObject({ name: "notes", uid: 900, gid: 901, groups: [27, 44, 901] });
});

test("another group takes the place of its own one", () => {
  expect(resolved("notes", "media")).toMatchObject({ uid: 900, gid: 44, groups: [27, 44] });
});

test.each([
  ["nots", undefined, 'found: "nots", a user that this machine does not know'],
  ["notes", "medio", 'found: "medio", a group that this machine does not know'],
  ["root", undefined, 'found: "root", whose user id is 0'],
])("user %s with group %s is refused, with what was found", (user, group, text) => {
  const found = resolved(user, group);
  expect("found" in found ? `found: ${found.found}` : "accepted").toBe(text);
});

test("without a user the command is the same; with one, ids and capabilities are set first", () => {
  expect(commandAs(undefined, ["bun", "app.ts"])).toEqual(["bun", "app.ts"]);
  expect(environmentAs(undefined)).toEqual({});
  const user = resolved("notes");
  if (!("uid" in user)) throw new Error(user.found);
  expect(commandAs(user, ["bun", "app.ts"]).slice(1)).toEqual([
    ...["--reuid=900", "--regid=901", "--groups=27,44,901", "--inh-caps=-all", "--ambient-caps=-all", "--"],
    ...["bun", "app.ts"],
  ]);
  expect(environmentAs(user)).toEqual({ HOME: "/srv/notes", USER: "notes", LOGNAME: "notes", SHELL: "/bin/sh" });
});
