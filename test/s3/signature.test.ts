import { describe, expect, test } from "bun:test";
import { amzDate, authorizationOf, hexHash, type Pairs, queryText } from "../../src/s3/signature.ts";

// docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples: Signature Calculations".
const credentials = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  sessionToken: undefined,
};
const scope = { region: "us-east-1", service: "s3", date: "20130524T000000Z" };
const host = ["host", "examplebucket.s3.amazonaws.com"] as const;
const date = ["x-amz-date", scope.date] as const;

const sign = (method: string, path: string, query: Pairs, fields: Pairs, body = ""): string => {
  const bodyHash = hexHash(Buffer.from(body));
  const all = [host, date, ["x-amz-content-sha256", bodyHash] as const, ...fields];
  return authorizationOf({ method, path, query, fields: all, bodyHash }, credentials, scope);
};

describe("the documented examples have their documented signatures", () => {
  test("an object is read", () => {
    expect(sign("GET", "/test.txt", [], [["range", "bytes=0-9"]])).toBe(
      "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
  });

  test("an object is put", () => {
    const fields: Pairs = [
      ["date", "Fri, 24 May 2013 00:00:00 GMT"],
      ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
    ];
    expect(sign("PUT", "/test%24file.text", [], fields, "Welcome to Amazon S3.")).toEndWith(
      "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
  });

  test("a setting of the bucket is asked for", () => {
    expect(sign("GET", "/", [["lifecycle", ""]], [])).toEndWith(
      "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
  });

  test("a bucket is listed", () => {
    const query: Pairs = [
      ["prefix", "J"],
      ["max-keys", "2"],
    ];
    expect(sign("GET", "/", query, [])).toEndWith(
      "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
  });
});

test("a query is encoded as the signature demands, in the order of its names", () => {
  const query: Pairs = [
    ["prefix", "notes/log/"],
    ["continuation-token", "1/a+b=c d*e~f(g)'h!"],
    ["list-type", "2"],
  ];
  expect(queryText(query)).toBe(
    "continuation-token=1%2Fa%2Bb%3Dc%20d%2Ae~f%28g%29%27h%21&list-type=2&prefix=notes%2Flog%2F",
  );
});

test("a time is written without separators and fractions", () => {
  expect(amzDate(Date.UTC(2013, 4, 24, 1, 2, 3, 456))).toBe("20130524T010203Z");
});
