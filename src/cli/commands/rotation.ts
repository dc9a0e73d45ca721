/**
 * What the next step of a rotation of the cluster's secret is, by the secret file here and by what the processes of the
 * cluster say that they know. Pure: secret.ts asks them, and writes the file.
 *
 * The file here is the one that the operator copies to the other machines. A former secret is taken away only when
 * every process that is known has read the new one, or was named by the operator as one that need not.
 */
import type { SecretStatus } from "../../control/secret-status.ts";
import { knowsSecret } from "../../control/secret-status.ts";

/** A process of the cluster, and what it says. */
export interface SurveyedProcess {
  /** `gateway:g1`, `host:notes/a` or `vault:stead://10.0.0.5:7750`. */
  readonly name: string;
  readonly told:
    | { readonly kind: "status"; readonly secret: SecretStatus }
    /** Of a vault server, which says nothing of itself: whether it takes the new secret. */
    | { readonly kind: "proof"; readonly takes: boolean }
    | { readonly kind: "silent"; readonly why: string };
}

/** Of the secrets of the file here. */
export interface OwnSecrets {
  readonly id: string;
  readonly former: { readonly id: string; readonly untilMs: number } | undefined;
}

export type NextStep =
  /** All have the same secret and no other. */
  | { readonly kind: "begin" }
  /** Another file has secrets that this one does not have, or a former one that this one has not. */
  | { readonly kind: "elsewhere"; readonly names: readonly string[] }
  | { readonly kind: "wait"; readonly names: readonly string[] }
  | { readonly kind: "finish" };

export function nextStep(
  own: OwnSecrets,
  processes: readonly SurveyedProcess[],
  without: readonly string[] = [],
): NextStep {
  const counted = processes.filter(({ name }) => !without.includes(name));
  const behind = counted.filter((process) => !knowsNew(process, own.id)).map(({ name }) => name);
  if (own.former !== undefined) return behind.length === 0 ? { kind: "finish" } : { kind: "wait", names: behind };
  const rotating = counted.filter(({ told }) => told.kind === "status" && told.secret.former !== null);
  const others = counted.filter(({ told }) => told.kind === "status" && told.secret.id !== own.id);
  const elsewhere = [...new Set([...rotating, ...others].map(({ name }) => name))];
  if (elsewhere.length > 0) return { kind: "elsewhere", names: elsewhere };
  return behind.length === 0 ? { kind: "begin" } : { kind: "wait", names: behind };
}

/** True if it takes calls under this secret, and would start with it. */
export function knowsNew({ told }: SurveyedProcess, id: string): boolean {
  switch (told.kind) {
    case "silent":
      return false;
    case "proof":
      return told.takes;
    case "status":
      return knowsSecret(told.secret, id) && (told.secret.id !== id || (told.secret.vaultKeys?.opens ?? true));
  }
}

/** Returns what an operator does about a process, or undefined if nothing. */
export function adviceFor({ name, told }: SurveyedProcess, own: OwnSecrets, file: string): string | undefined {
  switch (told.kind) {
    case "silent":
      return `it does not say which secret it has (${told.why}): start it with ${file} in place of the one there; if it is gone for good, name it with --without ${name}`;
    case "proof":
      return told.takes
        ? undefined
        : `it does not take the new secret: copy ${file} to its machine, over the file that its configuration names`;
    case "status":
      return adviceForStatus(told.secret, own, file);
  }
}

function adviceForStatus(secret: SecretStatus, own: OwnSecrets, file: string): string | undefined {
  if (knowsSecret(secret, own.id)) {
    if (secret.vaultKeys?.opens === false)
      return "the vault's keys do not open with the new secret yet: it tries again by itself; see its log";
    // Of the hosts that run none has seen both secrets, so none removes the former one.
    const isLeft = own.former === undefined && secret.former === null && (secret.vaultKeys?.secrets ?? 1) > 1;
    return isLeft
      ? "the vault's keys open with a former secret too: run `stead vault rekey` on its machine"
      : undefined;
  }
  const place = secret.file ?? "?";
  switch (secret.from) {
    case "file":
      return place.startsWith(credentials)
        ? `its ${place} is a copy that systemd made at its start: copy ${file} over the original (LoadCredential), then restart it`
        : place === file
          ? `it reads ${place} on its machine: copy the file there, if that is another machine, and see its log`
          : `copy ${file} to ${place} on its machine; it reads it within a second`;
    case "configuration":
      return `the secret is in ${place} itself: put it into a file of its own, name that as secret_file, and reload it`;
    case "environment":
      return "it has the secret from its environment (STEAD_SECRET, or a variable in its configuration), which it reads at the start only: restart it with the new one, once all others have it";
    case "given":
      return "its secret is given by the program that runs it: restart that with the new one";
  }
}

const credentials = "/run/credentials/";
