import { expect, test } from "bun:test";
import { childText, parseXml } from "../../src/s3/xml.ts";

test("a document of S3 is its elements and their text, with the named entities decoded", () => {
  const root = parseXml(
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>A&amp;B</Code>\n<Message>&quot;x&quot; &lt; y</Message><Empty/></Error>\n',
  );
  expect(root?.name).toBe("Error");
  expect(root === undefined ? [] : ["Code", "Message", "Empty", "None"].map((name) => childText(root, name))).toEqual([
    "A&B",
    '"x" < y',
    "",
    undefined,
  ]);
});

test("what occurs twice has no one text", () => {
  const root = parseXml("<a><Key>1</Key><Key>2</Key></a>");
  expect(root === undefined ? "none" : childText(root, "Key")).toBeUndefined();
});

const strange: readonly (readonly [name: string, text: string])[] = [
  ["nothing", ""],
  ["text alone", "not found"],
  ["a page of HTML that is not closed", "<html><br></html>"],
  ["a document type", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'],
  ["an unknown entity", "<a>&x;</a>"],
  ["a numeric reference", "<a>&#65;</a>"],
  ["a bare ampersand", "<a>a & b</a>"],
  ["a comment", "<a><!-- b --></a>"],
  ["a section", "<a><![CDATA[b]]></a>"],
  ["a processing instruction", "<a><?b?></a>"],
  ["two roots", "<a></a><b></b>"],
  ["text behind the root", "<a></a>b"],
  ["crossing elements", "<a><b></a></b>"],
  ["an end without a beginning", "</a>"],
  ["a document that is cut off", "<a><b>1</b>"],
  ["elements that are deeper than any answer", "<a>".repeat(9) + "</a>".repeat(9)],
];
for (const [name, text] of strange) test(`${name} is refused`, () => expect(parseXml(text)).toBeUndefined());
