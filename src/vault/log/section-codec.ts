/**
 * The payload of a record of format 2: a sequence of sections. Little-endian.
 *
 *     kind length u8 (1 to 32), kind (lower-case letters, digits, hyphens)
 *     flags u8: bit 0 required; the others are zero
 *     content length u32, content
 *
 * The first is `body`, required, with the fields of the record's own kind (payload-codec.ts). Each kind occurs once.
 *
 * Why a later kind needs no new format: a kind is a name, so even a version that does not know it can report it. Its
 * writer declares whether the record means the same without it. If so, it is optional, and a reader that does not know
 * it skips it by its length. If not, it is required, and such a reader refuses the whole record and stays before it. No
 * record is ever half understood.
 *
 * How one would break it: by declaring a section optional without which the databases, or a client's answer, would be
 * different. Anything that a promise rests on is required.
 *
 * Attacked in test/vault/log/record-codec.test.ts: "of an unknown kind is refused when it is required".
 */
import type { Section, SectionToWrite } from "../../core/flush.ts";
import { ByteReader, type ByteWriter, MalformedBytes, UnknownSection } from "./bytes.ts";
import { recordSectionsMax, sectionKindBytesMax } from "../limits.ts";

export const bodyKind = "body";
const kindPattern = /^[a-z0-9-]+$/;
const requiredFlag = 1;
const u32Max = 0xffff_ffff;

const headBytes = (kind: string): number => 1 + Buffer.byteLength(kind, "latin1") + 1 + 4;

/**
 * Returns the exact number of payload bytes for a body of this size. Throws RangeError for sections that cannot be
 * stored.
 */
export function sectionsLength(bodyBytes: number, sections: readonly SectionToWrite[]): number {
  checkSections(sections);
  return sections.reduce(
    (sum, section) => sum + headBytes(section.kind) + contentBytesOf(section),
    headBytes(bodyKind) + bodyBytes,
  );
}

/** Bytes of a section's content. */
export const contentBytesOf = ({ content }: SectionToWrite): number =>
  partsOf(content).reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Joins the content of a section. */
export const joinedSection = ({ content, ...section }: SectionToWrite): Section => ({
  ...section,
  content: content instanceof Uint8Array ? content : Buffer.concat(content),
});

const partsOf = (content: SectionToWrite["content"]): readonly Uint8Array[] =>
  content instanceof Uint8Array ? [content] : content;

/** Writes all sections; `writeBody` writes the content of the first. */
export function writeSections(
  writer: ByteWriter,
  bodyBytes: number,
  writeBody: () => void,
  sections: readonly SectionToWrite[],
): void {
  writeHead(writer, { kind: bodyKind, isRequired: true }, bodyBytes);
  writeBody();
  for (const section of sections) {
    writeHead(writer, section, contentBytesOf(section));
    for (const part of partsOf(section.content)) writer.bytes(part);
  }
}

/**
 * Reads all sections to the end of `bytes`; contents are views. `known`: the kinds that this version understands.
 * Throws MalformedBytes, UnknownSection.
 */
export function readSections(
  bytes: Buffer,
  offset: number,
  known: ReadonlySet<string>,
): { readonly body: Uint8Array; readonly sections: readonly Section[] } {
  const reader = new ByteReader(bytes, offset);
  const [first, ...sections] = readAll(reader);
  if (first?.kind !== bodyKind || !first.isRequired)
    throw new MalformedBytes("no required section body at the beginning", "one");
  const kinds = new Set([bodyKind]);
  for (const { kind } of sections) {
    if (kinds.has(kind)) throw new MalformedBytes(`the section ${kind} twice`, "each section once");
    kinds.add(kind);
  }
  const foreign = sections.find(({ kind, isRequired }) => isRequired && !known.has(kind));
  if (foreign !== undefined)
    throw new UnknownSection(
      `the section "${foreign.kind}", which must not be skipped`,
      `of such sections ${[bodyKind, ...known].join(", ")}`,
    );
  return { body: first.content, sections };
}

function readAll(reader: ByteReader): Section[] {
  const sections: Section[] = [];
  while (reader.remaining > 0) {
    if (sections.length > recordSectionsMax)
      throw new MalformedBytes(
        `more than ${recordSectionsMax} sections`,
        `at most ${recordSectionsMax} beside the body`,
      );
    const kind = Buffer.from(reader.bytes(reader.u8())).toString("latin1");
    if (!isKind(kind))
      throw new MalformedBytes("a section without a proper kind", `1 to ${sectionKindBytesMax} of a-z, 0-9 and -`);
    const flags = reader.u8();
    if (flags > requiredFlag)
      throw new UnknownSection(`flags ${flags} of the section "${kind}"`, "flags 0 and 1 (required)");
    sections.push({ kind, isRequired: flags === requiredFlag, content: reader.bytes(reader.u32()) });
  }
  return sections;
}

function writeHead(writer: ByteWriter, { kind, isRequired }: Omit<Section, "content">, contentBytes: number): void {
  writer.u8(kind.length);
  writer.bytes(Buffer.from(kind, "latin1"));
  writer.u8(isRequired ? requiredFlag : 0);
  writer.u32(contentBytes);
}

function checkSections(sections: readonly SectionToWrite[]): void {
  if (sections.length > recordSectionsMax)
    throw new RangeError(`${sections.length} sections in one record, at most ${recordSectionsMax}`);
  const kinds = new Set([bodyKind]);
  for (const section of sections) {
    const { kind } = section;
    if (!isKind(kind)) throw new RangeError(`a section's kind is 1 to ${sectionKindBytesMax} of a-z, 0-9 and -`);
    if (kinds.has(kind)) throw new RangeError(`the section ${kind} twice in one record`);
    const bytes = contentBytesOf(section);
    if (bytes > u32Max) throw new RangeError(`the section ${kind} has ${bytes} bytes`);
    kinds.add(kind);
  }
}

const isKind = (kind: string): boolean => kind.length <= sectionKindBytesMax && kindPattern.test(kind);
