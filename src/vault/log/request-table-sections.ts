/**
 * What a primary knows of requests (src/core/request-names.ts), as sections of the record of a checkpoint: `requests`
 * and `outcomes` as in a flush, and `requests-after`, the position after which those names are complete, u48
 * big-endian.
 *
 * They are optional: a reader that skips them counts requests before the checkpoint as unknown.
 */
import type { Section } from "../../core/flush.ts";
import type { NamesTable } from "../../core/request-names.ts";
import { requestNamesOf, requestsSection } from "./request-names-section.ts";
import { outcomesSection, requestOutcomesOf } from "./request-outcomes-section.ts";

export const afterKind = "requests-after";
const positionBytes = 6;

export function tableSections(table: NamesTable, level: 0 | 1 = 1): Section[] {
  const { completeAfter, names, outcomes, isKeyed = false } = table;
  const content = Buffer.alloc(positionBytes);
  content.writeUIntBE(completeAfter, 0, positionBytes);
  return [
    { kind: afterKind, isRequired: isKeyed, content },
    requestsSection({ names, isComplete: true, isKeyed }),
    ...(outcomes.length === 0 ? [] : [outcomesSection(outcomes, level, isKeyed)]),
  ];
}

/** Undefined: the record has none, or one that cannot be read. */
export function namesTableOf(sections: readonly Section[]): NamesTable | undefined {
  const after = sections.find(({ kind }) => kind === afterKind)?.content;
  const found = requestNamesOf(sections);
  if (after?.byteLength !== positionBytes || found === undefined) return undefined;
  const completeAfter = Buffer.from(after).readUIntBE(0, positionBytes);
  const { names, isKeyed = false } = found;
  return { completeAfter, names, outcomes: requestOutcomesOf(sections), isKeyed };
}
