import { expect, test } from "bun:test";
import { runStead } from "../../support/cli/run-cli.ts";

test("an event is explained with what it means, what clients notice and what to do", async () => {
  const { code, out } = await runStead(["explain", "vault-away"]);
  expect(code).toBe(0);
  expect(out).toStartWith("vault-away (event)\n  means:   No host has reached the vault");
  expect(out).toContain("\n  clients: ");
  expect(out).toContain("\n  do:      ");
});

test("a code of two kinds is explained as both, whatever its case", async () => {
  const { out } = await runStead(["explain", "DEFECT", "--json"]);
  expect((JSON.parse(out) as { kind: string }[]).map(({ kind }) => kind)).toEqual(["event", "refusal"]);
});

test("without a code all are listed; an unknown one is refused with the nearest", async () => {
  expect((await runStead(["explain"])).out).toContain("\nprimary-lost ");
  expect(await runStead(["explain", "primary-lots"])).toMatchObject({
    code: 2,
    out: "",
    err: expect.stringContaining("did you mean primary-lost?"),
  });
});
