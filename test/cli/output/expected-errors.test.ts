import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../../../src/cli/output/cli-error.ts";
import { exitCodes } from "../../../src/cli/output/exit-codes.ts";
import { asExpected, expectedErrors } from "../../../src/cli/output/expected-errors.ts";
import { StoreError } from "../../../src/vault/store/store.ts";

/** Errors that never reach the CLI by themselves, or that are defects when they do. */
const notForOperators = [
  // The keeper says it in the log; the process before goes on.
  "UpgradeError",
  "SqlFailure", // an answer to a SQL client
  ...["NoRoomError", "FullDiskError"], // a restore says it in status and tries again
  ...["LeftoverError", "UncheckableDatabaseError", "DamagedDatabasesError"], // likewise; the last one until a person acts
  "NoSpaceError", // a rehearsal that did not take place: a refusal
  // Ends of a term or of a connection, handled where they happen.
  ...["FencedError", "WriterEndedError", "GateShutError", "ProtocolError", "MalformedBytes", "UnknownSection", "WrittenMeanwhileError", "ReplicaError", "DivergedCopyError"],
  // Assertions of the pure core.
  ...["IllegalPhase", "IllegalHostTransition"],
  // Mapped by their own command.
  ...["CliError", "DemoRequirementError", "DemoTimeoutError", "GatewayViewError", "AnswerError", "CutOffError"],
];

test("every error class of the program has an exit code, or a reason here why it needs none", () => {
  const root = join(import.meta.dirname, "../../..");
  const classes = ["src", "harness"]
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(root, folder, name)))
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => [...readFileSync(file, "utf8").matchAll(/^export class (\w+) extends \w*Error\b/gm)].map((match) => match[1] ?? ""));
  expect(classes.length).toBeGreaterThan(10);
  const known = [...Object.keys(expectedErrors), ...notForOperators];
  expect(classes.filter((name) => !known.includes(name))).toEqual([]);
  expect(known.filter((name) => !classes.includes(name))).toEqual([]);
});

test("an expected error keeps its own advice and gets its exit code", () => {
  const expected = asExpected(new StoreError("full", "no space in file:///v", "Make space."));
  expect(expected).toBeInstanceOf(CliError);
  expect(expected).toMatchObject({ exitCode: exitCodes.vault, text: { found: "no space in file:///v", advice: "Make space." } });
});

test("an error of the operating system gets the advice for its code", () => {
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  expect(asExpected(full)).toMatchObject({ exitCode: exitCodes.resource, text: { advice: expect.stringContaining("full") } });
});

test("what nobody expected stays what it is", () => {
  const defect = new TypeError("x is not a function");
  expect(asExpected(defect)).toBe(defect);
  expect(asExpected("text")).toBe("text");
});
