import { expect, test } from "bun:test";
import { parse } from "smol-toml";
import { type KeyPath, locateKeys, pathText } from "../../src/config/locate.ts";

const text = `# [not.a.table]
top = "a # not a comment"
[gateway] # comment with = and [x]
id="g" ; 
`.replace(" ; ", "");

function place(toml: string, path: KeyPath): string {
  parse(toml); // The locator gets only texts that TOML accepts.
  const found = locateKeys(toml)(path);
  return found === undefined ? "nowhere" : `${found.line}:${found.column}`;
}

test("keys are found in tables, after comments and strings that look like other things", () => {
  expect(place(text, ["top"])).toBe("2:1");
  expect(place(text, ["gateway"])).toBe("3:1");
  expect(place(text, ["gateway", "id"])).toBe("4:1");
});

test("arrays of tables count their elements, also nested ones", () => {
  const toml = `[[service]]
name = "a"
[[service.host]]
id = "1"
[[service.host]]
id = "2"
[[service]]
name = "b"
[service.match]
host = "h"
  [[service.host]]
  id = "3"
`;
  expect(place(toml, ["service", 0, "name"])).toBe("2:1");
  expect(place(toml, ["service", 0, "host", 1, "id"])).toBe("6:1");
  expect(place(toml, ["service", 1, "match", "host"])).toBe("10:1");
  expect(place(toml, ["service", 1, "host", 0, "id"])).toBe("12:3");
});

test("keys inside of inline tables and arrays over several lines are found", () => {
  const toml = `a = [
  { x = 1, "quo ted".y = [1, 2], z = { w = 'it"s' } }, # }
  { x = 2 },
]
b.c.d = """
x = 1 # \\""" ""not yet"""""
e = '''
[f]
''' 
f = 1979-05-27T07:32:00Z
g = 3
`;
  expect(place(toml, ["a", 0, "x"])).toBe("2:5");
  expect(place(toml, ["a", 0, "quo ted", "y", 1])).toBe("2:30");
  expect(place(toml, ["a", 0, "z", "w"])).toBe("2:40");
  expect(place(toml, ["a", 1, "x"])).toBe("3:5");
  expect(place(toml, ["b", "c", "d"])).toBe("5:5");
  expect(place(toml, ["e"])).toBe("7:1");
  expect(place(toml, ["f"])).toBe("10:1");
  expect(place(toml, ["g"])).toBe("11:1");
});

test("a missing key gets the place of its nearest ancestor", () => {
  expect(place(text, ["gateway", "hold", "time"])).toBe("3:1");
  expect(place(text, ["host", "id"])).toBe("nowhere");
  expect(pathText(["service", 0, "host", 2, "control"])).toBe("service[0].host[2].control");
});

test("line ends of Windows and a byte order mark do not move anything", () => {
  expect(place(`\uFEFFa = 1\r\n\r\n[b]\r\nc = 2\r\n`, ["b", "c"])).toBe("4:1");
});

test("every key of any text that TOML accepts is found, and no text hangs the locator", () => {
  const pieces = [
    "[a]",
    "[[b]]",
    "[a.c]",
    "[[b.d]]",
    "k = 1",
    'l = "x"',
    "m = [1, [2, {n = 3}]]",
    "o.p = {q = '', r = []}",
    "s = '''\n'''",
    "# c",
    "",
    "t = 1.5e3 # t",
  ];
  let state = 7;
  const next = (limit: number): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % limit;
  let accepted = 0;
  for (let round = 0; round < 3000; round++) {
    const toml = Array.from({ length: 1 + next(8) }, () => pieces[next(pieces.length)]).join("\n");
    let value: unknown;
    try {
      value = parse(toml);
    } catch {
      locateKeys(toml);
      continue;
    }
    accepted++;
    const locate = locateKeys(toml);
    for (const path of allPaths(value)) {
      const found = locate(path);
      const at = (toml.split("\n")[(found?.line ?? 0) - 1] ?? "").slice((found?.column ?? 0) - 1);
      const name = path.at(-1);
      const right =
        typeof name === "number"
          ? /^[\[{\d]/.test(at)
          : at.startsWith(name ?? "") || (at.startsWith("[") && at.includes(name ?? ""));
      expect({ toml, path, at, right }).toEqual({ toml, path, at, right: true });
    }
  }
  expect(accepted).toBeGreaterThan(500);
});

function allPaths(value: unknown, path: KeyPath = []): KeyPath[] {
  if (typeof value !== "object" || value === null) return [];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [index, item])
    : Object.entries(value);
  return entries.flatMap(([key, content]) => [[...path, key], ...allPaths(content, [...path, key])]);
}
