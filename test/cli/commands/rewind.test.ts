import { expect, test } from "bun:test";
import { runStead } from "../../support/cli/run-cli.ts";

const rewind = (...args: string[]) =>
  runStead(["rewind", ...args, "--gateway", "http://127.0.0.1:9"], { env: { STEAD_SECRET: "s".repeat(64) } });

test("one moment is named, with its zone", async () => {
  expect(await rewind()).toMatchObject({ code: 2, err: expect.stringContaining("one of --time and --position") });
  const both = ["--time", "2026-03-01T14:05:00Z", "--position", "7"];
  expect(await rewind(...both)).toMatchObject({ code: 2, err: expect.stringContaining("--time and --position") });
  for (const time of ["14:05", "2026-03-01 14:05", "2026-03-01T14:05:00"])
    expect(await rewind("--time", time)).toMatchObject({ code: 2, err: expect.stringContaining("zone") });
  expect(await rewind("--position", "-1")).toMatchObject({ code: 2 });
});

test("a gateway that does not answer is named", async () => {
  expect(await rewind("--position", "7", "--yes")).toMatchObject({
    code: 6,
    err: expect.stringContaining("http://127.0.0.1:9"),
  });
});
