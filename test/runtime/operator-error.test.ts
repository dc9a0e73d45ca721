import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf, OperatorError } from "../../src/runtime/operator-error.ts";

/**
 * Errors that are no operator's, each with the reason: an entry says why no person can do anything about the error.
 */
const others = [
  // Ends of a term, a connection or a snapshot, handled where they happen.
  ...[
    "GateShutError",
    "ProtocolError",
    "MalformedBytes",
    "UnknownSection",
    "WrittenMeanwhileError",
    "DivergedCopyError",
    "ForeignChange",
    "FilesBeganError",
  ],
  ...["HranaRefusal", "SqlFailure", "CallRefused"], // answers to a client, which have a shape of their own
  "DamagedDatabaseError", // the gateway sets the database aside, and a notice says so
  ...["IllegalPhase", "IllegalHostTransition"], // assertions of the pure core
  ...["GatewayViewError", "AnswerError", "CutOffError"], // what a measurement saw go wrong, for its report
  "WrongIdentityError", // ends a TLS handshake; the call that made the connection reports it
  ...["AttemptError", "LongAnswerError"], // one attempt of a call to a bucket; its store passes it on as its own
  "AcmeError", // a failed order for a certificate: an event and a warning pass it on, with the time of the next one
  "CallError", // one attempt of a call to the vault server; the store and the log pass it on as their own, with its advice
];

test("every error class of the program says what was found and what to do, or is listed here with the reason why not", () => {
  const root = join(import.meta.dirname, "../..");
  const classes = ["src", "harness"]
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(root, folder, name)),
    )
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/^(?:export )?class (\w+) extends (\w*Error)\b/gm)].map(
        ([, name = "", base = ""]) => ({ name, base }),
      ),
    );
  expect(classes.length).toBeGreaterThan(40);
  expect(
    classes.filter(
      ({ name, base }) =>
        !["OperatorError", "BaseVaultError", "StoreError", "KeyringError"].includes(base) &&
        !others.includes(name) &&
        name !== "OperatorError",
    ),
  ).toEqual([]);
  expect(others.filter((other) => !classes.some(({ name }) => name === other))).toEqual([]);
});

test("an error is known by its class and its area: its message is found and accepted, its one-line form has the advice too", () => {
  class PlaceTakenError extends OperatorError {}
  const error = new PlaceTakenError("resource", {
    found: "a place that is taken",
    accepted: "a free one",
    advice: "name another",
  });
  expect(error).toMatchObject({
    name: "PlaceTakenError",
    area: "resource",
    message: "a place that is taken; accepted is a free one",
  });
  expect(messageOf(error)).toBe("a place that is taken; accepted is a free one (name another)");
  expect(messageOf(new OperatorError("usage", { found: "x", advice: "y" }))).toBe("x (y)");
  expect([messageOf(new TypeError("t")), messageOf("thrown")]).toEqual(["t", "thrown"]);
});
