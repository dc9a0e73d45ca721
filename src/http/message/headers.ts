/**
 * An immutable list of fields as received: order, case and duplicates are kept; names are compared without case. An
 * edit makes a new list.
 *
 * A proxy passes most heads on unchanged. A parsed list therefore keeps the head's own bytes, and cuts fields out of
 * them only for a query that the scan has not already answered; added lines stay lines.
 */
import type { Buffer } from "node:buffer";
import { isToken } from "./bytes.ts";
import { type FieldSet, isHopByHop, knownField } from "./known-fields.ts";
import { ProtocolError } from "./protocol-error.ts";

/** A head as received, checked: a part of `bytes`. */
export interface HeadSource {
  /** For a response, invalid once it has been written (the buffer is freed). */
  readonly bytes: Buffer;
  /** Offsets of the start line, the fields, and the empty line after them. */
  readonly start: number;
  readonly fieldsStart: number;
  readonly fieldsEnd: number;
  /** The known fields that occur. */
  readonly seen: FieldSet;
  /** Offset of the value of a request's Host; -1 if there is none. */
  readonly hostStart: number;
  readonly hostEnd: number;
  /** True if each line has the form in which this code writes lines (`Name: value`, numbers without leading zeros). */
  readonly isPlain: boolean;
}

export class HeaderList {
  /** The origin of the fields, as long as none was removed or changed. */
  readonly source: HeadSource | undefined;
  /** Complete lines that follow them, and the known fields among those. */
  readonly added: string;
  readonly #addedFields: FieldSet;
  #flat: string[] | undefined;

  constructor(fields: string[] | HeadSource = [], added = "", addedFields: FieldSet = 0) {
    this.added = added;
    this.#addedFields = addedFields;
    if (Array.isArray(fields)) this.#flat = fields;
    else this.source = fields;
  }

  static from(pairs: Iterable<readonly [string, string]>): HeaderList {
    const flat: string[] = [];
    for (const [name, value] of pairs) flat.push(name, value);
    return new HeaderList(flat);
  }

  /** `name, value, name, value, …` */
  get flat(): readonly string[] {
    return (this.#flat ??= this.#splitSource());
  }

  /** All fields as lines, each ending with CR LF. */
  get lines(): string {
    const { source } = this;
    if (source !== undefined) return this.#sourceLines(source);
    let lines = "";
    for (const [name, value] of this) lines += `${name}: ${value}\r\n`;
    return lines;
  }

  /** Number of fields. */
  get count(): number {
    return this.flat.length / 2;
  }

  /** False: certainly none of `fields`. True: perhaps. */
  mayHave(fields: FieldSet): boolean {
    return this.source === undefined || ((this.source.seen | this.#addedFields) & fields) !== 0;
  }

  /** Returns the first value of that name, or undefined. */
  get(name: string): string | undefined {
    const { source } = this;
    if (name === "host" && source !== undefined && source.hostStart !== -1)
      return source.bytes.toString("latin1", source.hostStart, source.hostEnd);
    const { flat } = this;
    for (let i = 0; i < flat.length; i += 2) {
      if (sameName(flat[i] as string, name)) return flat[i + 1];
    }
    return undefined;
  }

  /** Compares Host with `value` without making a string of it. */
  hostIs(value: string | undefined): boolean {
    const { source } = this;
    if (source === undefined || source.hostStart === -1) return this.get("host") === value;
    const { bytes, hostStart, hostEnd } = source;
    if (value?.length !== hostEnd - hostStart) return false;
    for (let i = 0; i < value.length; i++) {
      if (value.charCodeAt(i) !== bytes[hostStart + i]) return false;
    }
    return true;
  }

  /** Returns all values of that name, in order. */
  getAll(name: string): string[] {
    const values: string[] = [];
    for (const [fieldName, value] of this) {
      if (sameName(fieldName, name)) values.push(value);
    }
    return values;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Returns a copy without the fields whose lower-case name `drop` accepts; this list itself if it accepts none. */
  without(drop: (lowerCaseName: string) => boolean): HeaderList {
    const { flat } = this;
    const kept: string[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      const name = flat[i] as string;
      if (!drop(name.toLowerCase())) kept.push(name, flat[i + 1] as string);
    }
    return kept.length === flat.length ? this : new HeaderList(kept);
  }

  /** Returns a copy in which `name` occurs once, with `value`, at the end. */
  with(name: string, value: string): HeaderList {
    const lower = name.toLowerCase();
    const copy = this.without((other) => other === lower);
    return new HeaderList([...copy.flat, name, value]);
  }

  /**
   * Returns a copy with `lines` (`Name: value\r\n`, one or more) at the end; `fields`: the known ones among them. The
   * lines are sent as they are: they are the caller's own, checked, and none is about framing, routing or this hop.
   */
  withLines(lines: string, fields: FieldSet): HeaderList {
    if (this.source !== undefined) return new HeaderList(this.source, this.added + lines, this.#addedFields | fields);
    return new HeaderList([...this.flat, ...splitLines(lines)]);
  }

  *[Symbol.iterator](): Iterator<[string, string]> {
    const { flat } = this;
    for (let i = 0; i < flat.length; i += 2) yield [flat[i] as string, flat[i + 1] as string];
  }

  #splitSource(): string[] {
    const { source } = this;
    return source === undefined ? [] : splitLines(this.#sourceLines(source));
  }

  #sourceLines({ bytes, fieldsStart, fieldsEnd }: HeadSource): string {
    if (bytes.length < fieldsEnd) throw new Error("the fields of a response cannot be read after it has left");
    return bytes.toString("latin1", fieldsStart, fieldsEnd) + this.added;
  }
}

/** Splits checked lines: each ends with CR LF and has a colon; spaces and tabs around the value do not belong to it. */
export function splitLines(lines: string): string[] {
  const flat: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const colon = lines.indexOf(":", at);
    const end = lines.indexOf("\r\n", colon);
    flat.push(lines.slice(at, colon), trimOws(lines.slice(colon + 1, end)));
    at = end + 2;
  }
  return flat;
}

/** Field names compared without case (ASCII only: names are tokens). */
export function sameName(a: string, b: string): boolean {
  return a === b || (a.length === b.length && a.toLowerCase() === b.toLowerCase());
}

const neverOptions = new Set([
  "host",
  "content-length",
  "content-type",
  "content-encoding",
  "content-range",
  "authorization",
  "cookie",
  "set-cookie",
  "cache-control",
  "expect",
  "date",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
]);

/**
 * Adds the options of one value of `Connection` (RFC 9110, 7.6.1) to `options`, in lower case.
 *
 * A sender must not name an end-to-end field there. Naming a field that decides where a message ends, where it goes or
 * who sent it is an attempt to make this proxy remove it, and is refused.
 */
export function addConnectionOptions(options: string[], value: string): void {
  for (const part of value.split(",")) {
    const option = trimOws(part).toLowerCase();
    if (option === "") continue;
    if (!isToken(option)) throw new ProtocolError(400, "connection_malformed", "Connection must be a list of tokens");
    if (neverOptions.has(option))
      throw new ProtocolError(
        400,
        "connection_names_end_to_end_field",
        "Connection must not name a field that is meant for the end of the chain",
      );
    options.push(option);
  }
}

/**
 * Returns the fields as received without those that the options of `Connection` name (RFC 9110, 7.6.1). It is applied
 * where a head is read, so that a sender cannot name a field that a later step adds: the epoch that fences a late PUT,
 * the client's address, the request's id.
 */
export function withoutOptions(received: HeaderList, options: readonly string[] | undefined): HeaderList {
  return options === undefined || options.every(namesNoField)
    ? received
    : received.without((name) => options.includes(name) && !namesNoField(name));
}

/** Fields that belong to this hop are interpreted here and never passed on, whether they are named or not. */
const namesNoField = (option: string): boolean => option === "close" || isHopByHop(knownField(option));

/** Removes spaces and tabs at both ends. */
function trimOws(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isOws(text.charCodeAt(start))) start++;
  while (end > start && isOws(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

const isOws = (code: number): boolean => code === 32 || code === 9;
