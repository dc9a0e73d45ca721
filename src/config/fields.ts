/**
 * The kinds of values in a configuration file, as valibot schemas. Each says what it accepts and what to do about
 * another value. A message of valibot is one text, so the two are kept beside the issue that they explain.
 */
import * as v from "valibot";
import { isAddressRange, listenAccepted, parseListen } from "./address.ts";
import { baseUrlAccepted, parseBaseUrl } from "../core/base-url.ts";
import { parseS3Endpoint, s3EndpointAccepted } from "../core/s3-place.ts";
import { identifierAccepted, isIdentifier } from "../core/identifier.ts";
import {
  durationAccepted,
  durationPattern,
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
  sizeAccepted,
  sizePattern,
  type UnitResult,
} from "./units.ts";

export interface Explanation {
  readonly accepted: string;
  /** What to do about it. */
  readonly advice: string;
}

const explanations = new WeakMap<v.BaseIssue<unknown>, Explanation>();

/** Returns a message for a valibot schema; `explanationOf` gives its two parts for each issue of that schema. */
export const message =
  (accepted: string, advice: string) =>
  (issue: v.BaseIssue<unknown>): string => {
    explanations.set(issue, { accepted, advice });
    return accepted;
  };

/** Throws for an issue of a schema that was made without `message`: every schema of a file has one. */
export function explanationOf(issue: v.BaseIssue<unknown>): Explanation {
  const explanation = explanations.get(issue);
  if (explanation === undefined) throw new Error(`a schema of the configuration has no message: ${issue.message}`);
  return explanation;
}

/** A TOML table. An array (`[[name]]`) is not one, nor is a date. */
export function table<const Entries extends v.ObjectEntries>(name: string, entries: Entries) {
  const isTable = (input: unknown): boolean =>
    typeof input === "object" && input !== null && !Array.isArray(input) && !(input instanceof Date);
  return v.pipe(
    v.custom<Record<string, unknown>>(
      isTable,
      message(`a table, [${name}]`, `write [${name}] on its own line, with its keys below it`),
    ),
    v.object(entries),
  );
}

/** `[[name]]`: any number of tables. */
export function tables<const Item extends v.GenericSchema>(name: string, item: Item) {
  return v.array(
    item,
    message(`any number of tables, [[${name}]]`, `write [[${name}]] with two brackets, once for each`),
  );
}

interface Range {
  readonly min?: number;
  readonly max?: number;
}

function unit(
  accepted: string,
  advice: string,
  parse: (text: string) => UnitResult,
  format: (value: number) => string,
  range: Range,
  pattern: string,
) {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = range;
  const bounds = max === Number.MAX_SAFE_INTEGER ? `at least ${format(min)}` : `from ${format(min)} to ${format(max)}`;
  const acceptedRange = min === 0 && max === Number.MAX_SAFE_INTEGER ? accepted : `${accepted}, ${bounds}`;
  return v.pipe(
    v.string(message(acceptedRange, advice)),
    v.metadata({ pattern }),
    v.rawTransform<string, number>(({ dataset, addIssue, NEVER }) => {
      const result = parse(dataset.value);
      if (result.kind === "malformed") {
        addIssue({ message: message(acceptedRange, advice) });
        return NEVER;
      }
      if (result.value < min || result.value > max) {
        addIssue({ message: message(acceptedRange, `choose a value ${bounds}`) });
        return NEVER;
      }
      return result.value;
    }),
  );
}

export const duration = (range: Range = {}) =>
  unit(
    durationAccepted,
    "write the number and its unit in quotes; a unit is never guessed",
    parseDuration,
    formatDuration,
    range,
    durationPattern,
  );

export const size = (range: Range = {}) =>
  unit(
    sizeAccepted,
    "write the number and its unit in quotes; a unit is never guessed",
    parseSize,
    formatSize,
    range,
    sizePattern,
  );

export function whole(min: number, max: number) {
  const text = message(`a whole number from ${min} to ${max}`, "choose one in this range, without quotes");
  return v.pipe(v.number(text), v.integer(text), v.minValue(min, text), v.maxValue(max, text));
}

export const flag = v.boolean(message("true or false", "write true or false, without quotes"));

export function text(accepted: string, advice = "write a non-empty value in quotes") {
  return v.pipe(v.string(message(accepted, advice)), v.nonEmpty(message(accepted, advice)));
}

export function choice<const Values extends readonly [string, ...string[]]>(values: Values) {
  return v.picklist(values, message(values.map((value) => `"${value}"`).join(" or "), "choose one of these"));
}

const identifierMessage = message(identifierAccepted, 'choose a short name, for example "a" or "host-1"');
/** Names of services, hosts and gateways; they become part of records, paths, rows and metrics. */
export const identifier = v.pipe(v.string(identifierMessage), v.check(isIdentifier, identifierMessage));

function parsed<Output>(accepted: string, advice: string, parse: (text: string) => Output | undefined) {
  return v.pipe(
    v.string(message(accepted, advice)),
    v.rawTransform<string, Output>(({ dataset, addIssue, NEVER }) => {
      const value = parse(dataset.value);
      if (value !== undefined) return value;
      addIssue({ message: message(accepted, advice) });
      return NEVER;
    }),
  );
}

const rangeMessage = message(
  'an address or a range, for example "10.0.0.7", "10.1.0.0/16", "fd00::1", "fd00::/8"',
  "write a numeric address, not a name",
);
export const addressRange = v.pipe(v.string(rangeMessage), v.check(isAddressRange, rangeMessage));

export const listenAddress = parsed(
  listenAccepted,
  "write an address of this machine and a port from 0 to 65535",
  parseListen,
);
export const s3Endpoint = parsed(
  s3EndpointAccepted,
  "write the address of the store's API; the bucket is named in host.vault",
  parseS3Endpoint,
);
export const baseUrl = parsed(baseUrlAccepted, "write the address at which other machines reach it", parseBaseUrl);

const httpUrlMessage = message(
  'the URL of an HTTP receiver, for example "https://hooks.example/stead"',
  "write it with http:// or https://; one that is itself a secret belongs into a file, `url_file`",
);
export const httpUrl = v.pipe(
  v.string(httpUrlMessage),
  v.check((text) => /^https?:\/\/[^\s]+$/.test(text) && URL.canParse(text), httpUrlMessage),
);

const receiverUrlMessage = message(
  'the URL of a receiver, for example "https://hooks.example/stead" or "smtp://mail.example:587"',
  "write it with http://, https://, smtp:// or smtps://; one that is itself a secret belongs into a file, `url_file`",
);
export const receiverUrl = v.pipe(
  v.string(receiverUrlMessage),
  v.check((text) => /^(?:https?|smtps?):\/\/[^\s]+$/.test(text) && URL.canParse(text), receiverUrlMessage),
);

const credentialMessage = message(
  "one word of visible ASCII characters",
  'better name a file with it, or write a variable whose name begins with STEAD_, for example "${STEAD_TOKEN_X}"',
);
/** A token or another secret of someone else. */
export const credential = v.pipe(v.string(credentialMessage), v.regex(/^[\x21-\x7e]+$/, credentialMessage));

export const stringTable = v.record(
  v.string(),
  v.string(message("a string", "put the value into quotes")),
  message("a table of strings", 'write it as { NAME = "value" }, or as a table of its own with a line for each'),
);

const stringsMessage = message(
  'an array of strings, for example ["bun", "app.ts"]',
  "put each part into quotes and the list into brackets",
);
const part = v.pipe(v.string(stringsMessage), v.nonEmpty(stringsMessage));
/** A program with its arguments. */
export const commandLine = v.pipe(v.array(part, stringsMessage), v.minLength(1, stringsMessage));
