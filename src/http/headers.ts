/**
 * A list of fields as they came: order, case and duplicates kept; names are compared without case.
 *
 * Stored flat (`name, value, name, value, …`) because a proxy mostly walks it once; there is no index to build or keep.
 */
export class HeaderList {
  /** `name, value, name, value, …` */
  readonly flat: string[];

  constructor(flat: string[] = []) {
    this.flat = flat;
  }

  static from(pairs: Iterable<readonly [string, string]>): HeaderList {
    const list = new HeaderList();
    for (const [name, value] of pairs) list.flat.push(name, value);
    return list;
  }

  /** Number of fields. */
  get count(): number {
    return this.flat.length / 2;
  }

  /** First value of that name, or undefined. */
  get(name: string): string | undefined {
    const { flat } = this;
    for (let i = 0; i < flat.length; i += 2) {
      if (sameName(flat[i] as string, name)) return flat[i + 1];
    }
    return undefined;
  }

  /** All values of that name, in order. */
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

  append(name: string, value: string): void {
    this.flat.push(name, value);
  }

  /** A copy without the fields whose lower-case name `drop` accepts; this list itself when it accepts none. */
  without(drop: (lowerCaseName: string) => boolean): HeaderList {
    const { flat } = this;
    const kept: string[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      const name = flat[i] as string;
      if (!drop(name.toLowerCase())) kept.push(name, flat[i + 1] as string);
    }
    return kept.length === flat.length ? this : new HeaderList(kept);
  }

  /** A copy in which `name` occurs once, with `value`, at the end. */
  with(name: string, value: string): HeaderList {
    const lower = name.toLowerCase();
    const copy = this.without((other) => other === lower);
    return new HeaderList([...copy.flat, name, value]);
  }

  *[Symbol.iterator](): Iterator<[string, string]> {
    const { flat } = this;
    for (let i = 0; i < flat.length; i += 2) yield [flat[i] as string, flat[i + 1] as string];
  }
}

/** Field names compared without case (ASCII only: names are tokens). */
export function sameName(a: string, b: string): boolean {
  return a === b || (a.length === b.length && a.toLowerCase() === b.toLowerCase());
}
