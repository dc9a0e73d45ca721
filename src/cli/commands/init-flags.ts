/** What a person can say to `stead init`, and how its words are read. */
import { isIP } from "node:net";
import { connectionFlags, jsonFlag, parseUrl } from "./gateway-connection.ts";
import { systemFolder, systemState } from "./init-system.ts";
import { gatewayIdOfTemplate, type InitRole } from "./init-template.ts";

export const addressDefault = "127.0.0.1";

export interface InitFlags {
  readonly role: InitRole;
  readonly service: string | undefined;
  readonly host: string | undefined;
  readonly id: string | undefined;
  readonly peers: readonly string[] | undefined;
  readonly join: string | undefined;
  readonly tokenFile: string | undefined;
  readonly etc: boolean;
  readonly user: string;
  readonly state: string;
  readonly vault: string | undefined;
  readonly createVault: boolean;
  readonly tls: boolean;
  readonly data: string | undefined;
  readonly command: readonly string[] | undefined;
  readonly address: string | undefined;
  readonly add: boolean;
  readonly matchHost: string | undefined;
  readonly matchPath: string | undefined;
  readonly json: boolean;
}

export const initParameters = {
  flags: {
    role: {
      kind: "enum",
      values: ["gateway", "host", "both"],
      default: "both",
      brief: "Role that the file configures",
    },
    service: textFlag("name", 'Name of the service (default: that of the cluster, else "app")'),
    host: textFlag("id", 'Id of this host (default: the next letter, from "a")'),
    id: textFlag("id", `Id of this gateway (default: the next of ${gatewayIdOfTemplate}, …)`),
    peers: {
      kind: "parsed",
      parse: (text: string) => text.split(",").map(parseUrl),
      optional: true,
      placeholder: "urls",
      brief: "Admin addresses of other gateways, with commas between them",
    },
    join: {
      kind: "parsed",
      parse: parseUrl,
      optional: true,
      placeholder: "url",
      brief: "Admin address of a gateway of the cluster that this machine joins",
    },
    tokenFile: connectionFlags.tokenFile,
    etc: {
      kind: "boolean",
      default: false,
      withNegated: false,
      brief: `Write into ${systemFolder} for the units in examples/systemd`,
    },
    user: {
      kind: "parsed",
      parse: String,
      default: "stead",
      placeholder: "name",
      brief: "With --etc: the user that the units run as",
    },
    state: {
      kind: "parsed",
      parse: String,
      default: systemState,
      placeholder: "folder",
      brief: "With --etc: the folder of that user, for databases",
    },
    vault: textFlag("folder", "Vault that all hosts of the service share (default: the cluster's, else vault)"),
    data: textFlag("folder", "The application's data folder; its databases are listed in the file (default: data)"),
    command: {
      kind: "parsed",
      parse: wordsOf,
      optional: true,
      placeholder: "command",
      brief: 'The application\'s command, for example "bun app.ts"; quotes hold a word together',
    },
    address: {
      kind: "parsed",
      parse: addressOf,
      optional: true,
      placeholder: "address",
      brief: `Address at which other machines reach this one (default: ${addressDefault}, with --add that of this machine)`,
    },
    add: {
      kind: "boolean",
      default: false,
      withNegated: false,
      brief: "Add a further service to this machine, with a host and a file of its own",
    },
    matchHost: textFlag("name", "Host name of the service's requests (default: any that no other service takes)"),
    matchPath: textFlag("path", "Path prefix of the service's requests (default: any that no other service takes)"),
    createVault: {
      kind: "boolean",
      default: false,
      withNegated: false,
      brief: "Make that folder a new vault; do this once, on one host",
    },
    tls: {
      kind: "boolean",
      default: false,
      withNegated: false,
      brief: "Make certificates for this machine, and on the first one their authority (ca.pem, ca.key)",
    },
    ...jsonFlag,
  },
  positional: {
    kind: "tuple",
    parameters: [
      {
        brief: "Folder for the files (default: the working folder)",
        placeholder: "folder",
        parse: String,
        optional: true,
      },
    ],
  },
} as const;

function textFlag(placeholder: string, brief: string) {
  return { kind: "parsed", parse: String, optional: true, placeholder, brief } as const;
}

/** Splits as a shell does, without its other rules: single or double quotes hold a word together. */
function wordsOf(text: string): readonly string[] {
  const words = [...text.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)].map(([word]) => word);
  const isWhole = text.replace(/"[^"]*"|'[^']*'/g, "").search(/["']/) < 0;
  if (words.length > 0 && isWhole) return words.map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, "$1$2"));
  throw new Error(`expected a program and its arguments, quotes closed, found ${JSON.stringify(text)}`);
}

function addressOf(text: string): string {
  if (isIP(text) !== 0 && text !== "0.0.0.0" && text !== "::") return text;
  throw new Error(`expected the numeric address of this machine in its network, found ${JSON.stringify(text)}`);
}
