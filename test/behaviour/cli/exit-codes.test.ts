/**
 * Every command in its failing situations, with and without --json: its exit code, and that standard output is one JSON
 * document or empty. The commands are those of the table that help and completions have, so that a new one without a
 * row here fails.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "@stricli/core";
import { commandTable } from "../../../src/cli/app.ts";
import type { CliContext } from "../../../src/cli/output/context.ts";
import { type ExitCode, exitCodes as code } from "../../../src/cli/output/exit-codes.ts";
import { commandsOf } from "../../../src/cli/output/man-page.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { runStead } from "../../support/cli/run-cli.ts";
import { secret, TestCluster } from "../../support/gateway/cluster.ts";

interface Row {
  /** What the command needs besides the flags of the connection, so that its line is whole. */
  readonly args: readonly string[];
  /** In an empty folder, with an empty environment. Undefined: it would run for long; the reason is beside it. */
  readonly unconfigured: ExitCode | undefined;
  /** Of commands that call a gateway. */
  readonly gateway?: GatewayRow;
  /** Further situations, of this command alone. */
  readonly others?: readonly Other[];
}

interface GatewayRow {
  /** No gateway listens at the address. */
  readonly none: ExitCode;
  /** The gateway has another secret. */
  readonly wrongSecret: ExitCode;
  /** Of commands with --service. */
  readonly unknownService?: ExitCode;
  /** Of commands whose argument is a host, a database, a token, …; `args` has an unknown one. */
  readonly unknownName?: ExitCode;
}

interface Other {
  readonly when: string;
  /** In place of the row's. */
  readonly args: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  readonly code: ExitCode;
}

const ofGateway: GatewayRow = { none: code.unreachable, wrongSecret: code.refused };
const ofService: GatewayRow = { ...ofGateway, unknownService: code.refused };
const asks = (gateway: GatewayRow, ...args: readonly string[]): Row => ({
  ...{ args, unconfigured: code.configuration, gateway },
});

const noVault = (...args: readonly string[]): Other => ({
  ...{ when: "the folder is no vault", args, code: code.vault },
  files: { "empty/file": "" },
});
const malformed: Other = {
  ...{ when: "the file is malformed", args: [], code: code.configuration },
  files: { "stead.toml": "[gateway\n" },
};
const withoutRole: Other = {
  ...{ when: "the file has no such role", args: [], code: code.configuration },
  files: { "stead.toml": `[cluster]\nsecret = "${secret}"\n` },
};
const ofVault = (...args: readonly string[]): Row => ({
  ...{ args, unconfigured: code.configuration },
  others: [noVault("empty", ...args), { ...malformed, args }],
});

const rows: Readonly<Record<string, Row>> = {
  gateway: { args: [], unconfigured: code.configuration, others: [malformed, withoutRole] },
  host: { args: [], unconfigured: code.configuration, others: [malformed, withoutRole] },
  init: {
    args: [],
    unconfigured: code.ok,
    others: [
      { when: "there is a configuration", args: [], files: { "stead.toml": "" }, code: code.resource },
      { when: "there is no such user", args: ["--etc", "--user", "nobody-of-that-name", "."], code: code.resource },
      { when: "it joins without the secret", args: ["--join", "http://127.0.0.1:9"], code: code.configuration },
      {
        when: "no gateway answers there",
        args: ["--join", "http://127.0.0.1:9"],
        files: { "stead.secret": `${secret}\n` },
        code: code.unreachable,
      },
      {
        when: "the vault's folder is in use",
        args: ["--create-vault", "--vault", "empty"],
        files: { "empty/file": "" },
        code: code.vault,
      },
    ],
  },
  "config check": { args: [], unconfigured: code.configuration, others: [malformed] },
  "config diff": { ...asks(ofGateway), others: [malformed, withoutRole] },
  "config schema": { args: [], unconfigured: code.ok },
  status: asks(ofGateway),
  // It sends no secret.
  liveness: asks({ ...ofGateway, wrongSecret: code.ok }),
  switchover: asks({ ...ofService, unknownName: code.refused }, "unknown"),
  failover: asks({ ...ofService, unknownName: code.refused }, "unknown"),
  rewind: asks(ofService, "--position", "1"),
  pause: asks(ofService),
  resume: asks(ofService),
  "maintenance on": asks(ofService),
  "maintenance off": asks(ofService),
  "hosts list": asks(ofGateway),
  "hosts add": asks(ofService, "x", "http://127.0.0.1:9"),
  "hosts set": asks({ ...ofService, unknownName: code.refused }, "unknown", "--priority", "1"),
  "hosts drain": asks({ ...ofService, unknownName: code.refused }, "unknown"),
  "hosts remove": asks({ ...ofService, unknownName: code.refused }, "unknown"),
  "gateways list": asks(ofGateway),
  "gateways remove": asks({ ...ofGateway, unknownName: code.refused }, "unknown"),
  rehearse: asks({ ...ofService, unknownName: code.refused }, "unknown"),
  "drill run": asks(ofService, "--kind", "kill"),
  "drill list": asks(ofService),
  "drill cancel": asks(ofService),
  "drill report": {
    ...asks(ofService, "--json"),
    others: [{ when: "neither format is named", args: ["--html", "--json"], code: code.usage }],
  },
  checkpoint: asks(ofService),
  "databases list": asks(ofService),
  "databases exclude": asks({ ...ofService, unknownName: code.refused }, "unknown.db"),
  "databases include": asks({ ...ofService, unknownName: code.refused }, "unknown.db"),
  "notify test": asks(ofGateway),
  "suspects clear": asks({ ...ofGateway, unknownName: code.refused }, "unknown"),
  logs: asks({ ...ofService, unknownName: code.refused }, "unknown"),
  sql: asks(ofGateway, "select 1"),
  "token add": asks(ofGateway, "ci", "--role", "viewer", "--valid", "1d"),
  "token list": asks(ofGateway),
  "token revoke": asks({ ...ofGateway, unknownName: code.refused }, "unknown"),
  "secret rotate": asks(ofGateway),
  "vault create": {
    args: ["v"],
    unconfigured: code.usage,
    others: [noVault("empty", "--service", "notes"), { ...malformed, args: ["--config", "stead.toml"] }],
  },
  "vault serve": { args: [], unconfigured: code.configuration, others: [malformed, withoutRole] },
  "vault verify": ofVault(),
  "vault ls": ofVault(),
  "vault restore": ofVault("--to", "out"),
  "vault gc": ofVault("--keep", "2", "--window", "1h"),
  "vault rekey": {
    ...ofVault("--secret-file", "s"),
    others: [
      { ...noVault("empty", "--secret-file", "s"), files: { "empty/file": "", s: `${secret}\n` } },
      { when: "no secret is known", args: ["empty"], files: { "empty/file": "" }, code: code.configuration },
    ],
  },
  "vault promote-copy": {
    args: ["copy"],
    unconfigured: code.configuration,
    others: [
      { ...malformed, args: ["copy"] },
      { ...withoutRole, args: ["copy"] },
    ],
  },
  "vault estimate": { args: [], unconfigured: code.configuration, others: [malformed, withoutRole] },
  "ca create": {
    args: [],
    unconfigured: code.ok,
    others: [{ when: "there is one", args: [], files: { "ca.pem": "" }, code: code.resource }],
  },
  "ca issue": {
    args: ["gateway", "g1"],
    unconfigured: code.configuration,
    others: [{ when: "the role is unknown", args: ["worker", "g1"], code: code.usage }],
  },
  // A check: that the gateway refuses the secret is what it finds.
  doctor: { ...asks({ none: code.unreachable, wrongSecret: code.verdict }), others: [malformed] },
  explain: {
    args: [],
    unconfigured: code.ok,
    others: [{ when: "the code is unknown", args: ["no-such-code"], code: code.usage }],
  },
  completion: {
    args: ["bash"],
    unconfigured: code.ok,
    others: [{ when: "the shell is unknown", args: ["tcsh"], code: code.usage }],
  },
  man: { args: [], unconfigured: code.ok },
  // It needs no configuration and runs a whole cluster: test/e2e/demo.test.ts.
  demo: {
    args: [],
    unconfigured: undefined,
    others: [{ when: "a value is malformed", args: ["--kills", "x"], code: code.usage }],
  },
  version: { args: [], unconfigured: code.ok },
};

interface Listed {
  readonly name: string;
  readonly words: readonly string[];
  readonly command: Command<CliContext>;
}

const commands: readonly Listed[] = commandsOf(commandTable, []).map(({ words, command }) => ({
  ...{ name: words.join(" "), words, command },
}));
const hasFlag = ({ command }: Listed, flag: string): boolean => flag in (command.parameters.flags ?? {});
const rowOf = ({ name }: Listed): Row => {
  const row = rows[name];
  if (row === undefined) throw new Error(`\`stead ${name}\` has no row in this file`);
  return row;
};

let cluster: TestCluster;
/** Address of the cluster's gateway, and one at which nothing listens. */
let running = "";
let silent = "";
let folder = "";
beforeAll(async () => {
  cluster = new TestCluster();
  await cluster.addHost("a");
  await cluster.startGateway();
  await cluster.serving();
  running = `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
  silent = `http://127.0.0.1:${await freePort("applications")}`;
  folder = mkdtempSync(join(tmpdir(), "stead-exit-codes-"));
});
afterAll(async () => {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs it in a folder of its own that has these files, without and with --json, and expects the code of both. */
async function expectCode(
  listed: Listed,
  when: string,
  args: readonly string[],
  files: Readonly<Record<string, string>>,
  expected: ExitCode,
): Promise<void> {
  for (const json of hasFlag(listed, "json") ? [[], ["--json"]] : [[]]) {
    const cwd = mkdtempSync(join(folder, "case-"));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(cwd, path, ".."), { recursive: true });
      writeFileSync(join(cwd, path), text, { mode: 0o600 });
    }
    const line = [...listed.words, ...args, ...json.filter((flag) => !args.includes(flag))];
    const run = await runStead(line, { cwd });
    const found = { command: listed.name, when, json: json.length > 0, code: run.code };
    expect({ ...found, err: run.err }).toEqual({ ...found, code: expected, err: run.err });
    const isAnswered = run.out !== "";
    if (line.includes("--json") && isAnswered) expect(() => JSON.parse(run.out) as unknown).not.toThrow();
    // An error says what to do, on standard error; a verdict may be in the answer alone.
    if (expected !== code.ok && !isAnswered)
      expect(run.err).toMatch(/^stead: .+(?:\n {2}accepted: .+)?\n {2}do: .+\n/m);
  }
}

/** The file of an operator; for a command that compares one, that of the gateway. */
const configured = ({ name }: Listed, address: string, text: string): Record<string, string> => ({
  "stead.toml":
    name === "config diff" ? gatewayFile(address) : `[cluster]\nsecret_file = "s"\ngateway = "${address}"\n`,
  s: `${text}\n`,
});

const gatewayFile = (address: string): string =>
  `[cluster]
secret_file = "s"
[gateway]
id = "g1"
listen = "127.0.0.1:1"
admin = "${address.slice("http://".length)}"
database = "gateway.db"
[[service]]
name = "notes"
[[service.host]]
id = "a"
control = "http://127.0.0.1:2"
`;

test("every command has a row, and no other has one", () => {
  expect(Object.keys(rows).toSorted()).toEqual(commands.map(({ name }) => name).toSorted());
});

for (const listed of commands) {
  test(`stead ${listed.name}: each failure has its exit code, and --json leaves one document or nothing`, async () => {
    const { args, unconfigured, gateway, others = [] } = rowOf(listed);
    await expectCode(listed, "a flag is unknown", [...args, "--no-such-flag"], {}, code.usage);
    if (unconfigured !== undefined) await expectCode(listed, "nothing is configured", args, {}, unconfigured);
    for (const other of others) await expectCode(listed, other.when, other.args, other.files ?? {}, other.code);
    expect({ asks: gateway !== undefined }).toEqual({ asks: hasFlag(listed, "gateway") });
    if (gateway === undefined) return;
    const call = listed.name === "doctor" ? ["--cluster", ...args] : args;
    await expectCode(listed, "no gateway listens", call, configured(listed, silent, secret), gateway.none);
    const another = configured(listed, running, "another-secret-of-the-tests");
    await expectCode(listed, "the secret is wrong", call, another, gateway.wrongSecret);
    const right = configured(listed, running, secret);
    expect({ service: gateway.unknownService !== undefined }).toEqual({ service: hasFlag(listed, "service") });
    if (gateway.unknownService !== undefined)
      await expectCode(listed, "no such service", [...call, "--service", "unknown"], right, gateway.unknownService);
    if (gateway.unknownName !== undefined) await expectCode(listed, "no such name", call, right, gateway.unknownName);
  });
}
