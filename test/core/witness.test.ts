import { describe, expect, test } from "bun:test";
import { judgePromotion, type PromotionEvidence, type WitnessView } from "../../src/core/witness.ts";

const evidence: PromotionEvidence = { planned: false, epoch: 4, gatewaysRegistered: 3, gatewaysSeeingDown: 1 };
const alive: WitnessView = { epoch: 4, epochHost: "a", vacated: false, lastRecordAgeMs: 120, leaseMs: 1100 };

describe("the candidate's witness", () => {
  test("refuses one gateway of three while the primary writes in the vault, and says what it saw", () => {
    const verdict = judgePromotion(evidence, alive);
    expect(verdict).toEqual({
      kind: "refused",
      refusal: { kind: "primary_alive", evidence: "a wrote in the vault 120 ms ago, lease 1100 ms; 1 of 3 gateways see it down" },
    });
  });

  test("accepts a majority of the registered gateways", () => {
    expect(judgePromotion({ ...evidence, gatewaysSeeingDown: 2 }, alive).kind).toBe("accepted");
    expect(judgePromotion({ ...evidence, gatewaysRegistered: 1 }, alive).kind).toBe("accepted");
  });

  test("does not take half for a majority", () => {
    expect(judgePromotion({ ...evidence, gatewaysRegistered: 2 }, alive).kind).toBe("refused");
  });

  test("accepts a single gateway when the primary has been silent for its lease", () => {
    expect(judgePromotion(evidence, { ...alive, lastRecordAgeMs: 1100 }).kind).toBe("accepted");
    expect(judgePromotion(evidence, { ...alive, lastRecordAgeMs: 1099 }).kind).toBe("refused");
  });

  test("accepts after a vacate record, for a planned change, and for an empty log", () => {
    expect(judgePromotion(evidence, { ...alive, vacated: true }).kind).toBe("accepted");
    expect(judgePromotion({ ...evidence, planned: true }, alive).kind).toBe("accepted");
    expect(judgePromotion({ ...evidence, epoch: 0 }, { ...alive, epoch: 0, epochHost: null }).kind).toBe("accepted");
  });

  test("tells a gateway that is behind who has the epoch, even when the change was planned", () => {
    const verdict = judgePromotion({ ...evidence, planned: true, epoch: 3 }, alive);
    expect(verdict).toEqual({ kind: "refused", refusal: { kind: "epoch_taken", epoch: 4, host: "a" } });
  });
});
