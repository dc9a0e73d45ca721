/**
 * Positions of the keys in a TOML text. smol-toml returns values without positions, so this walks the same text again
 * and notes line and column of every key. The text was parsed before and is known to be valid TOML 1.0; this therefore
 * reports no errors, and skips what it does not understand.
 *
 * Paths are in the notation of `pathText`: `service[0].host[2].control`.
 */
export interface Location {
  readonly line: number;
  readonly column: number;
}

export type KeyPath = readonly (string | number)[];

/** Formats `["service", 0, "host"]` as `service[0].host`. */
export function pathText(path: KeyPath): string {
  return path.map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`)).join("");
}

/** Finds a key by its path. A path that is not in the text gets the position of its nearest ancestor, if any. */
export type Locator = (path: KeyPath) => Location | undefined;

export function locateKeys(toml: string): Locator {
  const places = new Scanner(toml).scan();
  const lineStarts = [0];
  for (let i = toml.indexOf("\n"); i !== -1; i = toml.indexOf("\n", i + 1)) lineStarts.push(i + 1);
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const offset = places.get(pathText(path.slice(0, length)));
      if (offset !== undefined) return toLocation(offset, lineStarts);
    }
    return undefined;
  };
}

function toLocation(offset: number, lineStarts: readonly number[]): Location {
  let line = lineStarts.findIndex((start) => start > offset);
  if (line === -1) line = lineStarts.length;
  return { line, column: offset - (lineStarts[line - 1] ?? 0) + 1 };
}

/** Scans the text once; `places` maps path texts to offsets. */
class Scanner {
  readonly #text: string;
  readonly #places = new Map<string, number>();
  /** Number of elements of each array of tables so far. */
  readonly #arrayLengths = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): ReadonlyMap<string, number> {
    let table: KeyPath = [];
    for (this.#skipVoid(true); this.#at < this.#text.length; this.#skipVoid(true)) {
      const before = this.#at;
      if (this.#text[this.#at] === "[") table = this.#header();
      else this.#pair(table);
      if (this.#at === before) this.#at++;
    }
    return this.#places;
  }

  #header(): KeyPath {
    const start = this.#at;
    const isArray = this.#text.startsWith("[[", this.#at);
    this.#at += isArray ? 2 : 1;
    const path = this.#resolve(
      this.#key().map((part) => part.name),
      isArray,
    );
    while (this.#text[this.#at] === "]") this.#at++;
    this.#place(path, start);
    return path;
  }

  /** Resolves the names of a header to a path: the name of an array of tables means its newest element. */
  #resolve(names: readonly string[], appends: boolean): KeyPath {
    const path: (string | number)[] = [];
    names.forEach((name, index) => {
      path.push(name);
      const array = pathText(path);
      const length = this.#arrayLengths.get(array);
      if (appends && index === names.length - 1) {
        this.#arrayLengths.set(array, (length ?? 0) + 1);
        path.push(length ?? 0);
      } else if (length !== undefined) path.push(length - 1);
    });
    return path;
  }

  #pair(table: KeyPath): void {
    let path = table;
    for (const part of this.#key()) {
      path = [...path, part.name];
      this.#place(path, part.offset);
    }
    if (this.#text[this.#at] === "=") this.#at++;
    this.#skipVoid(false);
    this.#value(path);
  }

  #place(path: KeyPath, offset: number): void {
    for (let length = path.length; length > 0; length--) {
      const text = pathText(path.slice(0, length));
      if (this.#places.has(text)) break;
      this.#places.set(text, offset);
    }
  }

  /** Reads a dotted key, bare or quoted; stops before `=` or `]`. */
  #key(): { name: string; offset: number }[] {
    const parts: { name: string; offset: number }[] = [];
    for (;;) {
      this.#skipVoid(false);
      const offset = this.#at;
      const quote = this.#text[this.#at];
      if (quote === '"' || quote === "'") {
        this.#string(quote);
        parts.push({ name: unquote(this.#text.slice(offset, this.#at)), offset });
      } else {
        const bare = /[A-Za-z0-9_-]*/y;
        bare.lastIndex = this.#at;
        const name = bare.exec(this.#text)?.[0] ?? "";
        this.#at += name.length;
        if (name !== "") parts.push({ name, offset });
      }
      this.#skipVoid(false);
      if (this.#text[this.#at] !== ".") return parts;
      this.#at++;
    }
  }

  #value(path: KeyPath): void {
    const first = this.#text[this.#at];
    if (first === '"' || first === "'") this.#string(first);
    else if (first === "[") this.#array(path);
    else if (first === "{") this.#inlineTable(path);
    else while (this.#at < this.#text.length && !"\n,]}#".includes(this.#text[this.#at] ?? "\n")) this.#at++;
  }

  #array(path: KeyPath): void {
    this.#at++;
    for (let index = 0; ; index++) {
      this.#skipVoid(true);
      if (this.#at >= this.#text.length || this.#text[this.#at] === "]") break;
      this.#place([...path, index], this.#at);
      const before = this.#at;
      this.#value([...path, index]);
      this.#skipVoid(true);
      if (this.#text[this.#at] === ",") this.#at++;
      if (this.#at === before) this.#at++;
    }
    this.#at++;
  }

  #inlineTable(path: KeyPath): void {
    this.#at++;
    for (;;) {
      this.#skipVoid(true);
      if (this.#at >= this.#text.length || this.#text[this.#at] === "}") break;
      const before = this.#at;
      this.#pair(path);
      this.#skipVoid(true);
      if (this.#text[this.#at] === ",") this.#at++;
      if (this.#at === before) this.#at++;
    }
    this.#at++;
  }

  /** Skips a string of any of TOML's four kinds. */
  #string(quote: '"' | "'"): void {
    const triple = quote.repeat(3);
    const end = this.#text.startsWith(triple, this.#at) ? triple : quote;
    this.#at += end.length;
    while (this.#at < this.#text.length && !this.#text.startsWith(end, this.#at)) {
      this.#at += quote === '"' && this.#text[this.#at] === "\\" ? 2 : 1;
    }
    this.#at += end.length;
    // Up to two quotes may stand directly before the closing three (TOML 1.0, "Multi-line basic strings").
    if (end === triple) while (this.#text[this.#at] === quote) this.#at++;
  }

  #skipVoid(newlines: boolean): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at] ?? "";
      if (character === "#" && newlines) {
        const end = this.#text.indexOf("\n", this.#at);
        if (end === -1) this.#at = this.#text.length;
        else this.#at = end;
      } else if (character === "\n" ? !newlines : !" \t\r\uFEFF".includes(character)) return;
    }
  }
}

/** Returns a quoted key's name. Escapes beyond JSON's do not occur in keys that the schema knows. */
function unquote(text: string): string {
  if (text.startsWith("'")) return text.slice(1, -1);
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}
