/** The exit codes of `stead`, by their names. */
import type { exitCodes } from "../output/exit-codes.ts";
import { type CodeMeaning, codeMeaning, nothing } from "./code-meaning.ts";

export const exitCodeExplanations: Readonly<Record<keyof typeof exitCodes, CodeMeaning>> = {
  ok: codeMeaning("The command is done; for a question: yes.", nothing, "Nothing."),
  unexpected: codeMeaning(
    "A defect, or a system error that was not foreseen.",
    nothing,
    "Run it again with --debug, and report the output.",
  ),
  usage: codeMeaning("The command line is wrong.", nothing, "See the command's --help."),
  configuration: codeMeaning(
    "A configuration file is missing, malformed or contradictory, or a file that it or a flag names (secret, token, certificates) is.",
    "Nothing: what runs keeps its configuration.",
    "Correct what is named; `stead config check FILE` reports every problem at once.",
  ),
  vault: codeMeaning(
    "The vault is missing, not writable, full, unsuitable, another service's, or damaged.",
    "If the primary sees it too, writes wait.",
    "Do what the error advises; `stead vault verify` looks at everything in it.",
  ),
  refused: codeMeaning(
    "The cluster refused, with a reason on standard error: an unknown service, host or name, a secret or token that is not accepted, or an order that would do harm. A dry run exits with it when the order would be refused.",
    nothing,
    "Do what the reason asks for.",
  ),
  unreachable: codeMeaning(
    "The gateway or host did not answer.",
    "Nothing by itself; a gateway that is down serves none of its clients.",
    "See that it runs and that the address and the certificate are right, or name another one with --gateway.",
  ),
  resource: codeMeaning(
    "A port, a file, space or a permission of this machine is missing.",
    nothing,
    "Do what the error advises.",
  ),
  application: codeMeaning(
    "The application did not start, did not get ready, or cannot be captured.",
    "On the primary: another host takes over, if one can.",
    "Read the application's output in the host's log.",
  ),
  verdict: codeMeaning(
    "A check ran and failed: `status` with a service that has no primary that serves or no vault that answers, `doctor`, `config diff`, `vault verify`, `notify test`, a drill that failed or took too long, `secret rotate` while processes lack the new secret, `demo`.",
    "As the output says.",
    "Read the output: the command did its work, and what it found is there.",
  ),
  interrupted: codeMeaning("The command was interrupted before it was done.", nothing, "Run it again."),
};
