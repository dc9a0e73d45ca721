/**
 * What failed tests printed, from the output of `bun test`: repeated at the end of a long run, because CI systems cut
 * the middle of a log.
 */

const linesMax = 80;
/** Of one test, or the name of a file. */
const ends = /^\((pass|fail|skip|todo)\) |^\S+\.test\.ts:$/;

/** The last lines that each failed test printed, its own "(fail)" line last. */
export function failedTests(output: string): readonly string[] {
  const blocks: string[] = [];
  let block: string[] = [];
  for (const line of output.split("\n")) {
    // The summary names the failures once more.
    if (/^\s*\d+ tests? failed:$/.test(line)) break;
    block.push(line);
    if (!ends.test(line)) continue;
    if (line.startsWith("(fail)")) blocks.push(block.slice(-linesMax).join("\n"));
    block = [];
  }
  return blocks;
}
