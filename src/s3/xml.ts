/**
 * The XML of S3's answers, strictly: elements, text and the five named entities. Everything else (document types,
 * comments, sections, processing instructions, numeric references) is refused, since no answer that a vault needs has
 * it. Attributes are skipped: only namespaces have them.
 */

export interface XmlElement {
  readonly name: string;
  /** All text directly in it. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

const depthMax = 8;
const declaration = /^(?:\ufeff)?<\?xml [^<>?]*\?>/;
const piece = /<(\/?)([A-Za-z][\w:.-]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;
const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** Returns the root; undefined: it is not what this reads. */
export function parseXml(source: string): XmlElement | undefined {
  const text = source.replace(declaration, "");
  const root: OpenElement = { name: "", text: "", children: [] };
  const open: OpenElement[] = [root];
  piece.lastIndex = 0;
  while (piece.lastIndex < text.length) {
    const found = piece.exec(text);
    const current = open.at(-1);
    if (found === null || current === undefined) return undefined;
    const [, closes, name, , empty, words] = found;
    if (words !== undefined) {
      const plain = decoded(words);
      if (plain === undefined || (current === root && plain.trim() !== "")) return undefined;
      current.text += plain;
    } else if (closes === "/") {
      if (current.name !== name || current === root) return undefined;
      open.pop();
    } else {
      const element: OpenElement = { name: name ?? "", text: "", children: [] };
      current.children.push(element);
      if (empty !== "/") open.push(element);
      if (open.length > depthMax) return undefined;
    }
  }
  return open.length === 1 && root.children.length === 1 ? root.children[0] : undefined;
}

function decoded(text: string): string | undefined {
  let isWhole = true;
  const plain = text.replace(/&([a-z]*;?)/g, (_, name: string) => {
    const value = name.endsWith(";") ? entities[name.slice(0, -1)] : undefined;
    isWhole &&= value !== undefined;
    return value ?? "";
  });
  return isWhole ? plain : undefined;
}

/** Returns the text of a child that occurs once; undefined otherwise. */
export function childText(element: XmlElement, name: string): string | undefined {
  const found = element.children.filter((child) => child.name === name);
  return found.length === 1 ? found[0]?.text : undefined;
}
