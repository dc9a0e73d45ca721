/** `stead completion`: prints what makes a shell complete command lines of stead. */
import { buildCommand } from "@stricli/core";
import { completionScripts, type Shell, shells } from "../output/completion-scripts.ts";
import type { CliContext } from "../output/context.ts";

export const completionCommand = buildCommand<Record<never, never>, [shell: Shell], CliContext>({
  docs: {
    brief: "Print what makes a shell complete commands and flags",
    fullDescription: [
      "EXAMPLES",
      "  stead completion bash > /usr/share/bash-completion/completions/stead",
      '  stead completion zsh > "${fpath[1]}/_stead"',
      "  stead completion fish > ~/.config/fish/completions/stead.fish",
    ].join("\n"),
  },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { brief: "bash, zsh or fish", placeholder: "shell", parse: shellOf, proposeCompletions: () => shells },
      ],
    },
  },
  func(_flags, shell) {
    this.process.stdout.write(completionScripts[shell]);
  },
});

function shellOf(text: string): Shell {
  const shell = shells.find((each) => each === text);
  if (shell !== undefined) return shell;
  throw new Error(`expected ${shells.join(", ")}, found ${JSON.stringify(text)}`);
}
