import { expect, test } from "bun:test";
import { firstRetryMs, renewalAtMs, renewalRetryMs, retryMsMax } from "../../src/core/certificate-renewal.ts";

const day = 86_400_000;

test("a certificate is renewed when a third of its time is left, or up to a thirtieth earlier", () => {
  const ninety = { notBeforeMs: 0, notAfterMs: 90 * day };
  expect(renewalAtMs(ninety, 0)).toBe(60 * day);
  expect(renewalAtMs(ninety, 1)).toBe(57 * day);
  expect(renewalAtMs({ notBeforeMs: day, notAfterMs: 7 * day }, 0)).toBe(5 * day);
});

test("failures in a row wait twice as long each time, within bounds, and never less than was asked for", () => {
  expect([1, 2, 3].map((failures) => renewalRetryMs(failures, undefined, 0))).toEqual(
    [1, 2, 4].map((times) => times * firstRetryMs),
  );
  expect(renewalRetryMs(1_000, undefined, 0)).toBe(retryMsMax);
  expect(renewalRetryMs(1, 7 * day, 0)).toBe(7 * day);
  expect(renewalRetryMs(3, 1_000, 0)).toBe(4 * firstRetryMs);
  expect(renewalRetryMs(1, undefined, 1)).toBe(firstRetryMs * 1.1);
});
