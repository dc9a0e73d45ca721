import { expect, test } from "bun:test";
import { parseConfig } from "../../src/config/load.ts";

function configure(lines: string) {
  const host = `[host]\nid = "a"\nservice = "notes"\ncontrol = "127.0.0.1:1"\nlisten = "127.0.0.1:2"\ndata = "data"\ndatabases = ["*.db"]\nvault = "vault"\n${lines}\n[host.application]\ncommand = ["app"]\n[host.application.ready]\npath = "/"\n`;
  const text = `[cluster]\nsecret = "a-secret-of-the-cluster"\n${host}`;
  return parseConfig("/etc/stead/stead.toml", text, { env: {} });
}

const filesIn = (lines: string) => {
  const result = configure(lines);
  return result.kind === "ok" ? result.config.host?.files : expect.unreachable(JSON.stringify(result.problems));
};

const problemsIn = (lines: string) => {
  const result = configure(lines);
  return result.kind === "ok" ? [] : result.problems.map(({ key, found }) => `${key}: ${found}`);
};

test("without files there are none; with them the bounds are those of the manual", () => {
  expect(filesIn("")).toBeUndefined();
  expect(filesIn('files = ["uploads/**"]\nfiles_except = ["uploads/tmp/**"]')).toEqual({
    patterns: ["uploads/**"],
    except: ["uploads/tmp/**"],
    durability: { kind: "before-answer" },
    bounds: { filesMax: 100_000, bytesMax: 64 * 2 ** 30, fileBytesMax: 4 * 2 ** 30, bytesPerSecondMax: 256 * 2 ** 20 },
    over: "refuse",
  });
});

test("in the background a loss window is part of it", () => {
  const background = 'files = ["uploads/**"]\nfiles_durability = "background"';
  expect(filesIn(`${background}\nfiles_loss_max = "10s"`)?.durability).toEqual({
    kind: "background",
    lossMaxMs: 10_000,
  });
  expect(problemsIn(background)).toEqual(['host.files_durability: "background" without files_loss_max']);
  expect(problemsIn('files = ["uploads/**"]\nfiles_loss_max = "10s"')).toHaveLength(1);
});

test.each([
  ['files_except = ["a"]', "files_except"],
  ['files_durability = "background"', "files_durability"],
  ['files_loss_max = "10s"', "files_loss_max"],
  ["files_max = 5", "files_max"],
  ['files_bytes_max = "1GiB"', "files_bytes_max"],
  ['file_bytes_max = "1GiB"', "file_bytes_max"],
  ['files_rate_max = "1MiB"', "files_rate_max"],
  ['files_over = "warn"', "files_over"],
])("what is written for files and covers none is refused: %s", (line, key) => {
  expect(problemsIn(line)).toEqual([`host.${key}: ${key} without \`files\``]);
});

test.each(['["/etc/passwd"]', '["../up"]', '["a**/b"]', '["app.db/../x"]'])(
  "a pattern that is no path below the data folder is refused: %s",
  (patterns) => {
    expect(problemsIn(`files = ${patterns}`)).toHaveLength(1);
  },
);

test("one file may not be larger than all files together", () => {
  expect(problemsIn('files = ["a"]\nfiles_bytes_max = "1GiB"')).toEqual([
    "host.file_bytes_max: 4GiB, more than files_bytes_max, 1GiB",
  ]);
});
