import { expect, test } from "bun:test";
import { nameOfPlan, nameOfSecret, ordererInWords } from "../../src/control/orderer.ts";

test("an order under the cluster's secret, or by the configuration, is not told as one of a person of that name", () => {
  expect(ordererInWords(nameOfSecret)).toBe("a holder of the cluster's secret");
  expect(ordererInWords(nameOfPlan)).toBe("`service.drill`");
  expect(ordererInWords("alice")).toBe("alice");
});
