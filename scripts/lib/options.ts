/**
 * Options of the scripts. What a person gets wrong ends the script with exit code 2 and says what was found and what is
 * accepted; no script ends in a stack trace for that.
 */
import { parseArgs, type ParseArgsConfig } from "node:util";

type OptionsConfig = NonNullable<ParseArgsConfig["options"]>;
type Values<T extends OptionsConfig> = ReturnType<typeof parseArgs<{ options: T }>>["values"];

export class OptionError extends Error {
  readonly accepted: string;

  constructor(found: string, accepted: string) {
    super(`found ${found}`);
    this.accepted = accepted;
  }
}

/** Returns the values of the command line. */
export function readOptions<const T extends OptionsConfig>(options: T): Values<T> {
  return orEnd(() => parseOptions(process.argv.slice(2), options));
}

/** Throws OptionError. */
export function parseOptions<const T extends OptionsConfig>(args: readonly string[], options: T): Values<T> {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    if (!isParseError(error)) throw error;
    const accepted = Object.entries(options).map(([name, { type }]) => `--${name}${type === "string" ? " VALUE" : ""}`);
    throw new OptionError(error.message.split(". ")[0] ?? error.message, accepted.join(", "));
  }
}

const isParseError = (error: unknown): error is Error =>
  error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");

/** Throws OptionError unless `text` is a whole number within the bounds. */
export function wholeNumber(name: string, text: string, from: number, to = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (/^\d{1,16}$/.test(text) && value >= from && value <= to) return value;
  throw new OptionError(
    `--${name} ${text}`,
    `a whole number ${to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`}`,
  );
}

/** Throws OptionError unless `text` is a number within the bounds. */
export function numberWithin(name: string, text: string, from: number, to: number): number {
  const value = Number(text);
  if (text !== "" && value >= from && value <= to) return value;
  throw new OptionError(`--${name} ${text}`, `a number from ${from} to ${to}`);
}

/** Throws OptionError unless `text` is one of `accepted`. */
export function oneOf<T extends string>(name: string, text: string, accepted: readonly T[]): T {
  const found = accepted.find((value) => value === text);
  if (found === undefined) throw new OptionError(`--${name} ${text}`, accepted.join(", "));
  return found;
}

/** Throws OptionError that names the first program that is not here, and what brings it. */
export function requirePrograms(packages: Readonly<Record<string, string>>): void {
  for (const [program, packageName] of Object.entries(packages))
    if (Bun.which(program) === null)
      throw new OptionError(
        `no ${program} on the PATH`,
        `Debian's package ${packageName}: apt-get install ${packageName}`,
      );
}

/** Returns what `read` returns; an OptionError ends the process with exit code 2. */
export function orEnd<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    process.stderr.write(`${error.message}\n  accepted: ${error.accepted}\n`);
    process.exit(2);
  }
}
