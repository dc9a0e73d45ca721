import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { refusalStatus } from "../../../src/control/refused.ts";
import { ApiRefusal, asRefusal } from "../../../src/control/server/refusal.ts";
import { OperatorError } from "../../../src/runtime/operator-error.ts";

const text = { found: "it is so", accepted: "a or b", advice: "do this" };

test("a refusal passes unchanged, another error that a person can cause keeps its words, and the rest is a defect of the part", () => {
  const refusal = new ApiRefusal("unknown-host", text);
  expect(asRefusal(refusal, "host")).toBe(refusal);
  expect(asRefusal(new OperatorError("vault", text), "host")).toMatchObject({ code: "failed", ...text });
  for (const thrown of [new TypeError("it is so"), "it is so"])
    expect(asRefusal(thrown, "host")).toMatchObject({
      code: "defect",
      found: "it is so",
      advice: "this is a defect of the host: please report it",
    });
});

test("the manual lists every code with its status, and no other", () => {
  const manual = readFileSync(join(import.meta.dirname, "../../../docs/GATEWAY-API.md"), "utf8");
  const [, section = ""] = manual.split("\n## Refusals\n");
  const rows = (section.split("\n## ")[0] ?? "").matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \| (\d+) \|/gm);
  const documented = [...rows].flatMap(([, codes = "", status]) =>
    [...codes.matchAll(/`([a-z-]+)`/g)].map(([, code = ""]) => [code, Number(status)] as const),
  );
  expect(Object.fromEntries(documented)).toEqual(refusalStatus);
});
