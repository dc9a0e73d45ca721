/**
 * What failed tests say, from the JUnit report of `bun test`: repeated at the end of a long run, because CI systems cut
 * the middle of a log. The output itself does not do: with `--parallel` an error may be printed far from its "(fail)".
 */

/** Of one failure. */
const linesMax = 80;
const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

/** Each failed test with its file, its line and the last lines of its error. */
export function failedTests(report: string): readonly string[] {
  const blocks: string[] = [];
  for (const [, head = "", body = ""] of report.matchAll(/<testcase ([^>]*[^/>])>(.*?)<\/testcase>/gs)) {
    const failure = /<failure\b[^>]*?(?:\/>|>(.*?)<\/failure>)/s.exec(body);
    if (failure === null) continue;
    const [file, line, group, name] = ["file", "line", "classname", "name"].map((key) => attributeOf(head, key));
    const title = `${file}:${line}: ${group === "" ? name : `${group} > ${name}`}`;
    const lines = decode(failure[1] ?? "")
      .trim()
      .split("\n");
    blocks.push([title, ...lines.slice(-linesMax)].join("\n"));
  }
  return blocks;
}

const attributeOf = (head: string, key: string): string =>
  decode(new RegExp(`(?:^| )${key}="([^"]*)"`).exec(head)?.[1] ?? "");

const decode = (text: string): string =>
  text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return entities[name] ?? whole;
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal));
  });
