/**
 * What makes a shell complete command lines of stead. Each asks the program itself, `stead __complete WORD…`, which
 * prints a candidate and its description in each line, separated by a tab: the words up to the cursor, the last of them
 * unfinished and possibly empty. Where there is no candidate the shell proposes files.
 */
export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** The hidden command. */
export const completeCommand = "__complete";

export const completionScripts: Readonly<Record<Shell, string>> = {
  bash: `# stead: completion for bash
_stead() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <("\${COMP_WORDS[0]}" ${completeCommand} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _stead stead
`,
  zsh: `#compdef stead
# stead: completion for zsh
_stead() {
  local -a found
  local line
  for line in "\${(@f)$("\${words[1]}" ${completeCommand} "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( \${#found} )); then _describe stead found; else _files; fi
}
compdef _stead stead
`,
  fish: `# stead: completion for fish
function __stead_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] ${completeCommand} $words[2..-1] 2>/dev/null
end
complete -c stead -a '(__stead_complete)'
`,
};
