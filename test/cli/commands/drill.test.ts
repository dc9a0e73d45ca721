import { expect, test } from "bun:test";
import { runStead } from "../../support/cli/run-cli.ts";

const drill = (...args: string[]) =>
  runStead(["drill", ...args, "--gateway", "http://127.0.0.1:9"], { env: { STEAD_SECRET: "s".repeat(64) } });

test("a drill is run without a further word, and needs a gateway that answers", async () => {
  for (const args of [
    ["--kind", "switchover"],
    ["run", "--kind", "switchover", "--for", "20s"],
  ])
    expect(await drill(...args)).toMatchObject({ code: 6 });
});

test("a kind that there is not, and a time without its unit or above a minute, are refused", async () => {
  expect(await drill("--kind", "fire")).toMatchObject({ code: 2, err: expect.stringContaining("partition") });
  for (const time of ["20", "61s", "soon"])
    expect(await drill("--kind", "hang", "--for", time)).toMatchObject({
      code: 2,
      err: expect.stringContaining("to 1m"),
    });
});
