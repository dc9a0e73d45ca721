/**
 * `stead ca create` and `stead ca issue`: the authority of a cluster's certificates, and a certificate for each process
 * (src/control/tls/). The key of the authority is needed only here: keep it off the servers.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildCommand, buildRouteMap } from "@stricli/core";
import { clusterNameDefault } from "../../control/channel/keyring.ts";
import { hostParty, type Party } from "../../control/channel/transcript.ts";
import {
  authorityDays,
  certificateDays,
  type Issued,
  issueCertificate,
  makeAuthority,
} from "../../control/tls/issue.ts";
import { identifierAccepted, isIdentifier } from "../../core/identifier.ts";
import { systemClock } from "../../runtime/clock.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { replaceFile } from "../../runtime/replace-file.ts";
import type { CliContext } from "../output/context.ts";
import { jsonFlag } from "./gateway-connection.ts";

const authorityFiles = { cert: "ca.pem", key: "ca.key" };
export interface MachineFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Of `stead init --tls`; `name`: of the certificate. */
export const machineFiles = (name = "tls"): MachineFiles => ({
  ...{ ca: authorityFiles.cert, cert: `${name}.pem`, key: `${name}.key` },
});
const daysMax = 36_500;

interface CreateFlags {
  readonly json: boolean;
  readonly cluster: string;
  readonly days: number;
  readonly renew: boolean;
}

const clusterFlag = {
  kind: "parsed",
  parse: identifier,
  default: clusterNameDefault,
  placeholder: "name",
  brief: "The cluster's name, as `cluster.name` in the configuration",
} as const;

const folderParameter = {
  brief: "Folder of the authority (default: the working folder)",
  placeholder: "folder",
  parse: String,
  optional: true,
} as const;

const daysFlag = (preset: number) =>
  ({
    kind: "parsed",
    parse: days,
    default: String(preset),
    placeholder: "number",
    brief: "Days until it expires",
  }) as const;

const createCommand = buildCommand<CreateFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Make the authority of a cluster's certificates",
    fullDescription: `Writes ${authorityFiles.cert}, which every process needs (\`ca\` in [cluster.tls]), and ${authorityFiles.key}, with which certificates are\nissued: keep it off the servers. With --renew the authority before is moved to ca.old.pem and ca.old.key, and the new\n${authorityFiles.cert} has both, so that certificates of both are accepted: copy it to all servers first, then issue their\ncertificates again, then remove the second one from ${authorityFiles.cert}.\n\nEXAMPLES\n  stead ca create /root/stead-ca --cluster prod\n  stead ca create /root/stead-ca --cluster prod --renew`,
  },
  parameters: {
    flags: {
      cluster: clusterFlag,
      days: daysFlag(authorityDays),
      renew: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Replace the authority in the folder; both are accepted at first",
      },
      ...jsonFlag,
    },
    positional: { kind: "tuple", parameters: [folderParameter] },
  },
  async func({ cluster, days: validDays, renew, json }, folder) {
    const target = resolve(this.cwd, folder ?? ".");
    const path = (name: string): string => join(target, name);
    const [cert, key] = [path(authorityFiles.cert), path(authorityFiles.key)];
    const before = renew ? readAuthority(target) : undefined;
    const present = [cert, key].find((file) => existsSync(file));
    if (before === undefined && present !== undefined)
      throw new OperatorError("resource", {
        found: `${present} exists already; nothing was written`,
        advice: "name another folder, or replace the authority with --renew",
      });
    const made = await makeAuthority(cluster, { nowMs: systemClock.wallTime(), days: validDays });
    write(target, () => {
      mkdirSync(target, { recursive: true });
      if (before !== undefined) writeIssued(before, path("ca.old.pem"), path("ca.old.key"));
      writeIssued({ cert: made.cert + firstCertificate(before?.cert ?? ""), key: made.key }, cert, key);
    });
    const written = [cert, key, ...(before === undefined ? [] : [path("ca.old.pem"), path("ca.old.key")])];
    this.process.stdout.write(
      json
        ? `${JSON.stringify({ written })}\n`
        : `wrote ${cert}: every process of the cluster needs it\nwrote ${key} (mode 0600): keep it off the servers\nnext: stead ca issue gateway ID, stead ca issue host SERVICE/ID, stead ca issue operator NAME\n`,
    );
  },
});

interface CertificateOwner {
  readonly parties: readonly [Party, ...Party[]];
  /** `cluster.name`; undefined: the usual one. */
  readonly cluster: string | undefined;
}

/**
 * For `stead init --tls`: certificates for one machine in its folder, by the authority that is there, or by a new one.
 * Returns the files that were written.
 */
export async function makeCertificates(
  folder: string,
  files: MachineFiles,
  { parties, cluster = clusterNameDefault }: CertificateOwner,
): Promise<string[]> {
  const path = (name: string): string => join(folder, name);
  const [caCert, caKey] = [path(authorityFiles.cert), path(authorityFiles.key)];
  const isNew = !existsSync(caCert);
  const nowMs = systemClock.wallTime();
  const authority = isNew ? await makeAuthority(cluster, { nowMs, days: authorityDays }) : readAuthority(folder);
  const [first, ...others] = parties.map((party) => ({ cluster, party }));
  if (first === undefined) throw new Error("a certificate of no party");
  const issued = await issueCertificate(authority, [first, ...others], { nowMs, days: certificateDays });
  write(folder, () => {
    mkdirSync(folder, { recursive: true });
    if (isNew) writeIssued(authority, caCert, caKey);
    writeIssued(issued, path(files.cert), path(files.key));
  });
  return [...(isNew ? [caCert, caKey] : []), path(files.cert), path(files.key)];
}

interface IssueFlags {
  readonly ca: string;
  readonly cluster: string;
  readonly days: number;
  readonly out: string | undefined;
  readonly json: boolean;
}

const issueCommand = buildCommand<IssueFlags, string[], CliContext>({
  docs: {
    brief: "Make the certificate of a process, or a new one in place of it",
    fullDescription: `Writes NAME.pem and NAME.key, which [cluster.tls] of that process names as \`cert\` and \`key\`. Existing files are replaced,\neach at once: running processes take the new ones within a second. A process that is several things, for example a\ngateway and a host in one file, gets one certificate with all of them.\n\nEXAMPLES\n  stead ca issue gateway gw1 --ca /root/stead-ca --cluster prod\n  stead ca issue host notes/a --ca /root/stead-ca --out /etc/stead/host\n  stead ca issue gateway gw1 host notes/a\n  stead ca issue operator alice`,
  },
  parameters: {
    flags: {
      ca: { kind: "parsed", parse: String, default: ".", placeholder: "folder", brief: "Folder of the authority" },
      cluster: clusterFlag,
      days: daysFlag(certificateDays),
      out: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "path",
        brief: "Path of both files without their endings (default: the role and the id, in the working folder)",
      },
      ...jsonFlag,
    },
    positional: {
      kind: "array",
      minimum: 2,
      parameter: {
        brief: "gateway ID, host SERVICE/ID or operator NAME",
        placeholder: "role id",
        parse: String,
      },
    },
  },
  async func({ ca, cluster, days: validDays, out, json }, ...words) {
    const [first, ...others] = partiesOf(words).map((party) => ({ cluster, party }));
    if (first === undefined) throw new Error("stricli gives at least two words");
    const authority = readAuthority(resolve(this.cwd, ca));
    const validity = { nowMs: systemClock.wallTime(), days: validDays };
    const issued = await issueCertificate(authority, [first, ...others], validity);
    const path = resolve(this.cwd, out ?? `${first.party.role}-${first.party.id.replaceAll("/", "-")}`);
    const [cert, key] = [`${path}.pem`, `${path}.key`];
    write(path, () => writeIssued(issued, cert, key));
    this.process.stdout.write(
      json ? `${JSON.stringify({ written: [cert, key] })}\n` : `wrote ${cert}\nwrote ${key} (mode 0600)\n`,
    );
  },
});

export const caRoutes = buildRouteMap({
  routes: { create: createCommand, issue: issueCommand },
  docs: { brief: "Make the certificates with which processes call each other over TLS" },
});

function partiesOf(words: readonly string[]): readonly Party[] {
  const parties: Party[] = [];
  for (let at = 0; at < words.length; at += 2) parties.push(partyOf(words[at] ?? "", words[at + 1] ?? ""));
  return parties;
}

function partyOf(role: string, id: string): Party {
  const [service = "", host = "", more] = id.split("/");
  if (role === "host" && more === undefined && isIdentifier(service) && isIdentifier(host))
    return hostParty(service, host);
  if ((role === "gateway" || role === "operator") && isIdentifier(id)) return { role, id };
  throw new OperatorError("usage", {
    found: `${role} ${id}`.trim(),
    accepted: `gateway ID, host SERVICE/ID or operator NAME; each name is ${identifierAccepted}`,
    advice: "for example `stead ca issue host notes/a`",
  });
}

function identifier(text: string): string {
  if (isIdentifier(text)) return text;
  throw new Error(`expected ${identifierAccepted}, found ${JSON.stringify(text)}`);
}

function days(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= daysMax) return value;
  throw new Error(`expected a whole number from 1 to ${daysMax}, found ${JSON.stringify(text)}`);
}

function readAuthority(folder: string): Issued {
  try {
    return {
      cert: firstCertificate(readFileSync(join(folder, authorityFiles.cert), "utf8")),
      key: readFileSync(join(folder, authorityFiles.key), "utf8"),
    };
  } catch (error) {
    throw new OperatorError(
      "configuration",
      {
        found: `no authority in ${folder}: ${messageOf(error)}`,
        accepted: `${authorityFiles.cert} and ${authorityFiles.key}`,
        advice: "make one with `stead ca create`, or name its folder with --ca",
      },
      { cause: error },
    );
  }
}

/** The newest one, while there are two. */
const firstCertificate = (pem: string): string =>
  /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(pem)?.[0] ?? "";

/** The key first: a process that looks in between keeps what it has, since they do not fit together. */
function writeIssued({ cert, key }: Issued, certPath: string, keyPath: string): void {
  replaceFile(keyPath, key, 0o600);
  replaceFile(certPath, cert, 0o644);
}

function write(path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new OperatorError(
      "resource",
      { found: `${path} cannot be written: ${messageOf(error)}`, advice: "name a folder that you may write to" },
      { cause: error },
    );
  }
}
