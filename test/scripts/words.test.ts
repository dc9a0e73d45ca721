import { expect, test } from "bun:test";
import { bannedWords } from "../../scripts/lib/words.ts";

const find = (text: string) => bannedWords([{ path: "src/a.ts", text: `ok\n${text}` }]);

test("a word that reads as translated is found by line, with what to write instead", () => {
  expect(find("/** Whoever reads this waits. */")).toEqual(['src/a.ts:2: "Whoever": write the part that acts']);
  for (const text of ["somebody has it open", "Nobody can take over.", "it is read anew", "the work goes on meanwhile"])
    expect(find(text)).toHaveLength(1);
});

test("identifiers and longer words are left alone", () => {
  expect(find("const head = noBody; // A renewal renews. Categories, for everyone. Logos on the page.")).toEqual([]);
});
