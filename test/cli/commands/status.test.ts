/** What `stead status` and `stead gateways` say, word by word where an operator once misread them. */
import { expect, test } from "bun:test";
import { formatGateways } from "../../../src/cli/commands/gateways.ts";
import { formatOutdated } from "../../../src/cli/commands/status.ts";

test("an answer that is not the present is marked as outdated, with its age", () => {
  expect(formatOutdated({ text: "gateway g1\n", at: 1_000 }, 6_000)).toBe("\nOUTDATED, as of 5 s ago:\n\ngateway g1\n");
  expect(formatOutdated(undefined, 6_000)).toBe("");
});

test("the list of gateways says how many must agree", () => {
  const list = (registered: number) => formatGateways({ gateways: [], registered, troubles: [] });
  expect(list(1)).toContain("this gateway decides alone");
  expect(list(2)).toContain("2 of 2 gateways must see a primary down");
  expect(list(3)).toContain("2 of 3 gateways must see a primary down");
});
