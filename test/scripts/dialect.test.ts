import { describe, expect, test } from "bun:test";
import {
  endings,
  endingVerbs,
  newsWords,
  nullPlaces,
  nulls,
  otherNews,
  publishedTags,
  sharedExports,
  snakeTags,
} from "../../scripts/lib/dialect.ts";

const documents = {
  "docs/CONTROL-API.md": Object.keys(publishedTags)
    .map((tag) => `\`${tag}\``)
    .join(" "),
};
const tagsOf = (text: string): string[] => snakeTags([{ path: "src/a.ts", text }], documents);

describe("tags", () => {
  test.each([
    `const a = { kind: "not_sent" };`,
    `type A = { readonly kind: "not_sent" | "sent" };`,
    `const a = { kind: isB ? "not_sent" : "sent" };`,
    `if (a.kind === "not_sent") b();`,
    `if ("not_sent" !== kind) b();`,
    `switch (a.kind) { case "not_sent": b(); }`,
    `const schema = v.object({ kind: v.literal("not_sent") });`,
  ])("with an underscore are refused: %s", (text) => {
    expect(tagsOf(text)).toEqual([`src/a.ts:1: "not_sent" is a tag: write "not-sent", or publish it`]);
  });

  test.each([
    `const a = { kind: "not-sent", code: "not_sent" };`,
    `if (a.code === "not_sent") b();`,
    `switch (a.code) { case "not_sent": b(); }`,
    `const a = { kind: "epoch_taken" };`,
  ])("in kebab case, published ones and other words are accepted: %s", (text) => {
    expect(tagsOf(text)).toEqual([]);
  });

  test("that no document publishes any more are no exception any more", () => {
    expect(snakeTags([], { "docs/CONTROL-API.md": "" })).toHaveLength(Object.keys(publishedTags).length);
  });
});

describe("exported names", () => {
  test("of two files are refused when they are the same", () => {
    const files = [
      { path: "src/a.ts", text: "export interface EventLoopBudget { a: 1 }\nexport const slice = 1;" },
      { path: "src/b.ts", text: "export class EventLoopBudget {}\nconst slice = 1;" },
    ];
    expect(sharedExports(files)).toEqual([
      "EventLoopBudget is exported by src/a.ts and src/b.ts: one name for one thing",
    ]);
  });

  test("may be a type and its value in one file", () => {
    const text = "export const a = 1;\nexport type a = number;";
    expect(sharedExports([{ path: "src/a.ts", text }])).toEqual([]);
  });
});

describe("null", () => {
  const inPlaces = Object.keys(nullPlaces).map((path) => ({ path: `${path}a.ts`, text: "const a = null;" }));
  const nullsOf = (text: string): string[] => nulls([{ path: "src/a.ts", text }, ...inPlaces]);

  test.each(["const a = null;", "let a: string | null;", "a(null);", "return b ?? null;"])(
    "is refused as a value and as a type of our own: %s",
    (text) =>
      expect(nullsOf(text)).toEqual([expect.stringMatching(/^src\/a\.ts:1: null: what is absent is undefined/)]),
  );

  test("may be compared with, and stands where JSON and SQL do", () => {
    expect(nullsOf("if (pattern.exec(text) === null || null !== b) c();")).toEqual([]);
  });

  test("is asked for where its place is still an exception", () => {
    expect(nulls(inPlaces.slice(1))).toEqual([expect.stringContaining(Object.keys(nullPlaces)[0] ?? "")]);
  });
});

describe("verbs for ending", () => {
  const listed = Object.keys(endings).map((exception) => {
    const [name, path = ""] = exception.split(" ");
    return { path: path.endsWith(".ts") ? path : `${path}a.ts`, text: `function ${name}() {}` };
  });
  const endingsOf = (text: string): string[] => endingVerbs([{ path: "src/a.ts", text }, ...listed]);

  test.each([
    "function stop() {}",
    "class A { async #finishAll(): Promise<void> {} }",
    "interface A { leave(): void }",
    "interface A { readonly abandon: () => void }",
    "const end = (): void => undefined;",
    "const a = { cut: () => undefined };",
    "function a(retire: () => void) {}",
  ])("other than the four are refused in the names of functions: %s", (text) => {
    expect(endingsOf(text)).toEqual([
      expect.stringMatching(/^src\/a\.ts:1: #?\w+: end it with close, abort, drain or kill/),
    ]);
  });

  test.each(["function close() {}", "const a = { end: 1 };", "const dropped = () => 1;", "function endingsOf() {}"])(
    "may be one of the four; values and other words are no verbs: %s",
    (text) => expect(endingsOf(text)).toEqual([]),
  );

  test("with another meaning are listed while they are in use", () => {
    expect(endingVerbs(listed.slice(1))).toEqual([expect.stringContaining(Object.keys(endings)[0] ?? "")]);
  });
});

describe("words for news to operators", () => {
  const listed = Object.keys(otherNews).map((each) => {
    const [word = "", path = ""] = each.split(" ");
    return { path: `${path}a.ts`, text: `const ${word} = 1;` };
  });
  const newsOf = (text: string): string[] => newsWords([{ path: "src/a.ts", text }, ...listed]);

  test.each([
    "let trouble: string;",
    "class A { #notices = []; }",
    "function noteOnce() {}",
    "const onTrouble = b;",
    "a.remarks();",
    "const stead_troubles = 1;",
    "type RemovedNotice = string;",
  ])("are those of the glossary: %s", (text) => {
    expect(newsOf(text)).toEqual([expect.stringMatching(/^src\/a\.ts:1: #?\w+: call it by its kind/)]);
  });

  test.each(["const warning = 1;", "class A { isNoticed = true; }", "function notExecuted() {}", "const notable = b;"])(
    "may be part of longer words: %s",
    (text) => expect(newsOf(text)).toEqual([]),
  );

  test("with another meaning are listed while they are in use", () => {
    expect(newsWords(listed.slice(1))).toEqual([expect.stringContaining(Object.keys(otherNews)[0] ?? "")]);
  });
});
