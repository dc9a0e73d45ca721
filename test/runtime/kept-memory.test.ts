import { expect, test } from "bun:test";
import { startWithKeptMemory } from "../../src/runtime/kept-memory.ts";

const asScript = {
  argv: ["/usr/bin/bun", "/stead/src/main.ts", "host", "a.toml"],
  argv0: "bun",
  execArgv: ["--smol"],
  env: { PATH: "/usr/bin", NOTHING: undefined },
  isCompiled: false,
};

test("a host starts again with the same arguments and one more variable", () => {
  expect(startWithKeptMemory(asScript)).toEqual({
    args: ["bun", "--smol", "/stead/src/main.ts", "host", "a.toml"],
    env: { PATH: "/usr/bin", MIMALLOC_PURGE_DELAY: "1000" },
  });
});

test("the compiled program has no script among its arguments", () => {
  const argv = ["bun", "/$bunfs/root/stead", "vault", "verify", "v"];
  const start = startWithKeptMemory({ ...asScript, argv, argv0: "stead", execArgv: [], isCompiled: true });
  expect(start?.args).toEqual(["stead", "vault", "verify", "v"]);
});

test("it starts once, an operator's own value stays, and short commands do not start again", () => {
  const env = { MIMALLOC_PURGE_DELAY: "0" };
  expect(startWithKeptMemory({ ...asScript, env })).toBeUndefined();
  for (const command of ["status", "gateway-worker", "gateway-successor", "sql-reader", "--version"])
    expect(startWithKeptMemory({ ...asScript, argv: [...asScript.argv.slice(0, 2), command] })).toBeUndefined();
  expect(startWithKeptMemory({ ...asScript, argv: asScript.argv.slice(0, 2) })).toBeUndefined();
});
