/** What opens the vault's keys: the cluster's secret, or what the configuration names in its place. */
import { spawn } from "node:child_process";
import type { HostConfig, VaultKeySource } from "../../config/types.ts";
import { cleanEnvironment } from "../../runtime/clean-environment.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { escapeControls } from "../../runtime/printable.ts";

/** A program that has not answered by then is killed with everything that it started. */
const commandMsMax = 30_000;
const outputBytesMax = 4096;
const errorCharactersShown = 200;

/** Throws OperatorError if the program of `vault_key_command` does not answer with a key. */
export async function vaultKeyOf({ secret, vaultKey }: Pick<HostConfig, "secret" | "vaultKey">): Promise<string> {
  if (vaultKey === undefined) return secret;
  return vaultKey.kind === "key" ? vaultKey.key : keyFrom(vaultKey);
}

type Command = Extract<VaultKeySource, { readonly kind: "command" }>;

export async function keyFrom(source: Command, limitMs = commandMsMax): Promise<string> {
  const { code, out, err } = await outcomeOf(source, limitMs);
  if (code !== 0) {
    const said = escapeControls(err.trim()).slice(0, errorCharactersShown);
    throw commandError(source, `it ended with ${code}${said === "" ? "" : `: ${said}`}`);
  }
  const key = out.replace(/\r?\n$/, "");
  if (!/^[\x21-\x7e]{16,1024}$/.test(key)) throw commandError(source, `it printed ${key.length} characters`);
  return key;
}

const commandError = ({ command }: Command, what: string): OperatorError =>
  new OperatorError("configuration", {
    found: `the program of host.vault_key_command, ${escapeControls(command.join(" "))}: ${what}`,
    accepted: "exit code 0, and the key on standard output: 16 to 1024 visible ASCII characters, one line",
    advice: "run it as the host's user, in the folder of the configuration file, and correct what it says",
  });

interface CommandOutcome {
  readonly code: number | string;
  readonly out: string;
  readonly err: string;
}

/** It has none of stead's own variables: it needs no secret of the cluster to get a key. */
function outcomeOf(source: Command, limitMs: number): Promise<CommandOutcome> {
  const { command, folder } = source;
  const [program, ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: folder,
      env: cleanEnvironment(process.env),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    };
    const fail = (what: string): void => {
      clearTimeout(timer);
      kill();
      child.stdout.destroy();
      child.stderr.destroy();
      reject(commandError(source, what));
    };
    const timer = setTimeout(() => fail(`it did not end within ${limitMs / 1000} s`), limitMs);
    const texts = { out: "", err: "" };
    for (const [name, stream] of [
      ["out", child.stdout],
      ["err", child.stderr],
    ] as const)
      stream.setEncoding("utf8").on("data", (text: string) => {
        texts[name] += text;
        if (texts.out.length > outputBytesMax) fail(`it printed more than ${outputBytesMax} bytes`);
        if (name === "err") texts.err = texts.err.slice(0, outputBytesMax);
      });
    child.on("error", (error) =>
      fail(`it cannot be started (${(error as NodeJS.ErrnoException).code ?? error.message})`),
    );
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal ?? "no exit code", ...texts });
    });
  });
}
