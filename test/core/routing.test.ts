import { describe, expect, test } from "bun:test";
import { serviceMatcher } from "../../src/core/routing.ts";

const service = (name: string, host?: string, path?: string) => ({ name, match: { host, path } });
const match = serviceMatcher([
  service("any"),
  service("api", undefined, "/api"),
  service("api-v2", undefined, "/api/v2/"),
  service("shop", "shop.example"),
  service("shop-admin", "shop.example", "/admin"),
]);
const found = (host: string, target: string): string | undefined => match(host, target)?.name;

describe("which service a request belongs to", () => {
  test("a host name beats a longer path", () => {
    expect(found("shop.example", "/api/v2/x")).toBe("shop");
    expect(found("other.example", "/api/v2/x")).toBe("api-v2");
  });

  test("the longest path prefix of whole segments wins", () => {
    expect(found("x", "/api")).toBe("api");
    expect(found("x", "/api?q=1")).toBe("api");
    expect(found("x", "/api/v2")).toBe("api-v2");
    expect(found("x", "/apiary")).toBe("any");
    expect(found("shop.example", "/administrator")).toBe("shop");
    expect(found("shop.example", "/admin/users")).toBe("shop-admin");
  });

  test("the host name's case and port do not matter", () => {
    expect(found("SHOP.example:8080", "/")).toBe("shop");
    expect(serviceMatcher([service("six", "::1", undefined)])("[::1]:80", "/")?.name).toBe("six");
  });

  test("absolute form, asterisk form and authority form are understood", () => {
    expect(found("shop.example", "http://shop.example/admin")).toBe("shop-admin");
    expect(found("shop.example", "http://shop.example")).toBe("shop");
    expect(found("shop.example", "*")).toBe("shop");
  });

  test("the path is compared unchanged, so that no rewriting can smuggle a request elsewhere", () => {
    expect(found("shop.example", "/%61dmin")).toBe("shop");
    expect(found("shop.example", "//admin")).toBe("shop");
    expect(found("shop.example", "/x/../admin")).toBe("shop");
  });

  test("a request that no service matches belongs to none", () => {
    expect(serviceMatcher([service("a", "a.example", undefined)])("b.example", "/")).toBeUndefined();
    expect(serviceMatcher([])("b.example", "/")).toBeUndefined();
  });

  test("a single service without a host or path takes every request", () => {
    expect(serviceMatcher([service("only", undefined, "/")])("whatever", "*")?.name).toBe("only");
  });
});
