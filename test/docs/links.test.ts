/** Links between documents lead to a file that is there, and to a heading in it. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dirname, "../..");
const documents = ["README.md", ...readdirSync(join(root, "docs")).map((name) => join("docs", name))].filter((name) =>
  name.endsWith(".md"),
);

const withoutCode = (text: string): string => text.replaceAll(/^```[^]*?^```/gm, "");

/** As GitHub names the anchors of headings; a second one of the same name has a number, and no link leads there. */
const slugOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}_\- ]/gu, "")
    .replaceAll(" ", "-");

function anchorsOf(path: string): ReadonlySet<string> {
  const text = withoutCode(readFileSync(path, "utf8"));
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => slugOf(heading));
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id)]);
}

test("every link leads somewhere", () => {
  const links = documents.flatMap((document) =>
    [
      ...withoutCode(readFileSync(join(root, document), "utf8")).matchAll(
        /\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g,
      ),
    ].map(([, file = "", anchor]) => ({
      document,
      path: file === "" ? document : join(dirname(document), file),
      anchor,
    })),
  );
  expect(links.length).toBeGreaterThan(100);
  const broken = links.filter(({ path, anchor }) => {
    const place = join(root, path);
    return !existsSync(place) || (anchor !== undefined && !anchorsOf(place).has(anchor));
  });
  expect(
    broken.map(({ document, path, anchor }) => `${document}: ${relative(root, join(root, path))}#${anchor}`),
  ).toEqual([]);
});
