/**
 * The manual page stead(1), in the man macros (man(7), groff_man(7)), from the commands that help and completion show.
 * Every character that roff would interpret is escaped, so that examples can be copied.
 */
import type { Command, RouteMap } from "@stricli/core";
import type { CliContext } from "./context.ts";

type Target = Command<CliContext> | RouteMap<CliContext>;

export interface ManPage {
  readonly root: RouteMap<CliContext>;
  readonly version: string;
  /** ISO 8601, of the page. */
  readonly date: string;
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
}

const environment = [
  ["STEAD_GATEWAY", "Admin address of a gateway, for commands that call one."],
  ["STEAD_TOKEN", "A token, for commands that call a gateway."],
  ["STEAD_SECRET", "The secret of the cluster."],
  ["STEAD_VAULT_KEY", "The key of the vault."],
  ["STEAD_TMP", "Folder into which a gateway unpacks libSQL's native module, in place of the one of its database."],
] as const;

export function manPage({ root, version, date, exitCodes }: ManPage): string {
  return [
    `.TH STEAD 1 ${date} "stead ${text(version)}" "User Commands"`,
    ".SH NAME",
    `stead \\- ${text(lowerFirst(root.brief))}`,
    ".SH SYNOPSIS",
    "\\fBstead\\fR \\fIcommand\\fR [\\fIflags\\fR] [\\fIarguments\\fR]",
    ".SH DESCRIPTION",
    "\\fBstead gateway\\fR is the reverse proxy on a frontend server, \\fBstead host\\fR runs beside the application.",
    "The other commands prepare them, or call a gateway. Every command accepts \\fB\\-\\-help\\fR, and \\fB\\-\\-debug\\fR, which adds",
    "the stack to an error.",
    ".SH COMMANDS",
    ...commandsOf(root, ["stead"]).flatMap(({ words, command }) => sectionOf(words, command)),
    ".SH EXIT STATUS",
    ...exitCodes.flatMap(([code, meaning]) => [".TP", String(code), line(meaning)]),
    ".SH ENVIRONMENT",
    ...environment.flatMap(([name, meaning]) => [".TP", `\\fB${name}\\fR`, line(meaning)]),
    ".SH FILES",
    ".TP",
    "\\fIstead.toml\\fR",
    "The configuration; in the working folder if no other one is named. \\fBstead init\\fR writes one that lists every key.",
    "",
  ].join("\n");
}

interface Named {
  readonly words: readonly string[];
  readonly command: Command<CliContext>;
}

/** Every command that is shown in help, with its words. */
export function commandsOf(map: RouteMap<CliContext>, words: readonly string[]): readonly Named[] {
  return map
    .getAllEntries()
    .filter(({ hidden }) => !hidden)
    .flatMap(({ name, target }) => namedBelow(target, [...words, name["convert-camel-to-kebab"]]));
}

const namedBelow = (target: Target, words: readonly string[]): readonly Named[] =>
  "getAllEntries" in target ? commandsOf(target, words) : [{ words, command: target }];

function sectionOf(words: readonly string[], { brief, fullDescription, parameters }: Command<CliContext>): string[] {
  const flags = Object.entries(parameters.flags ?? {}).filter(
    ([, flag]) => !("hidden" in flag && flag.hidden === true),
  );
  return [
    `.SS "${text(words.join(" "))}${argumentsOf(parameters.positional)}"`,
    line(`${brief}.`),
    ...paragraphs(fullDescription ?? ""),
    ...flags.flatMap(([name, flag]) => [
      ".TP",
      `\\fB${text(`--${kebab(name)}`)}\\fR${valueOf(flag)}`,
      line(flag.brief),
    ]),
  ];
}

type Parameters = Command<CliContext>["parameters"];
type Flag = NonNullable<Parameters["flags"]>[string];

function valueOf(flag: Flag): string {
  switch (flag.kind) {
    case "boolean":
    case "counter":
      return "";
    case "enum":
      return ` ${text(flag.values.join("|"))}`;
    case "parsed":
      return ` \\fI${text(flag.placeholder ?? "value")}\\fR`;
  }
}

function argumentsOf(positional: Parameters["positional"]): string {
  if (positional === undefined) return "";
  if (positional.kind === "array") return ` [${text(positional.parameter.placeholder ?? "argument")}...]`;
  return positional.parameters
    .map(({ placeholder = "argument", optional }) =>
      optional === true ? ` [${text(placeholder)}]` : ` ${text(placeholder)}`,
    )
    .join("");
}

/** Lines that are indented, and those behind EXAMPLES, stay as they are; an empty line begins a paragraph. */
function paragraphs(description: string): string[] {
  const out: string[] = [];
  let isPlain = false;
  const become = (plain: boolean): void => {
    if (plain !== isPlain) out.push(...(plain ? [".PP", ".RS 4", ".nf"] : [".fi", ".RE"]));
    isPlain = plain;
  };
  let isBegun = false;
  for (const each of description.split("\n")) {
    if (each.trim() === "") {
      isBegun = false;
      continue;
    }
    become(each.startsWith("  "));
    if (!isPlain && !isBegun) out.push(".PP");
    isBegun = true;
    out.push(line(each.trim()));
  }
  become(false);
  return out;
}

const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const lowerFirst = (words: string): string => words.charAt(0).toLowerCase() + words.slice(1);

/** A line of text: one that begins with a dot or a quote would be a request. */
const line = (words: string): string =>
  words
    .split("\n")
    .map((each) => `${/^[.']/.test(each) ? "\\&" : ""}${text(each)}`)
    .join("\n");

const escapes: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  "'": "\\(aq",
  "`": "\\(ga",
  "^": "\\(ha",
  "~": "\\(ti",
  '"': "\\(dq",
};

const text = (words: string): string =>
  words.replaceAll(/[\\\-'`^~"]|[^\x00-\x7f]/gu, (character) => escapes[character] ?? unicode(character));

const unicode = (character: string): string =>
  `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`;
