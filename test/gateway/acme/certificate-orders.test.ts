/** What only a runtime cannot do; orders themselves are tested in test/behaviour/http/acme.test.ts. */
import { expect, test } from "bun:test";
import { assertAnswerable } from "../../../src/gateway/acme/certificate-orders.ts";

test("tls-alpn-01 is refused under Deno before anything is ordered, and http-01 is not", () => {
  expect(() => assertAnswerable("tls-alpn-01", true)).toThrow("under Deno");
  assertAnswerable("http-01", true);
  assertAnswerable("tls-alpn-01");
});
