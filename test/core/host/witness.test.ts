import { describe, expect, test } from "bun:test";
import {
  judgeAge,
  judgeLog,
  judgePromotion,
  type PromotionEvidence,
  type WitnessView,
} from "../../../src/core/host/witness.ts";

const evidence: PromotionEvidence = {
  planned: false,
  epoch: 4,
  gatewaysRegistered: 3,
  gatewaysSeeingDown: 1,
  positionHeard: 0,
  vault: undefined,
};
const alive: WitnessView = {
  epoch: 4,
  epochHost: "a",
  position: 31,
  vault: "0f7a",
  vacated: false,
  lastRecordAgeMs: 120,
  leaseMs: 1100,
};

describe("the age of an order", () => {
  const basedOn = { instance: "i", clockMs: 1_000, validMs: 3_000 };

  test("is told by the candidate's own clock", () => {
    expect(judgeAge(basedOn, "i", 4_000)).toBeUndefined();
    expect(judgeAge(basedOn, "i", 4_001)).toEqual({
      kind: "order_expired",
      reason: "the order rests on what this host said 3001 ms ago, and counts for 3000 ms",
    });
  });

  test("is too high when this host was started again since", () => {
    expect(judgeAge(basedOn, "j", 1_001)).toMatchObject({ kind: "order_expired" });
  });

  test("does not matter where the gateway knows no clock of the host", () => {
    expect(judgeAge(undefined, "i", 1e9)).toBeUndefined();
    expect(judgeAge(undefined, "i", 1e9)).toBeUndefined();
  });
});

describe("the candidate's witness", () => {
  test("refuses one gateway of three while the primary writes in the vault, and says what it saw", () => {
    const verdict = judgePromotion(evidence, alive);
    expect(verdict).toEqual({
      kind: "refused",
      refusal: {
        kind: "primary_alive",
        evidence: "a wrote in the vault 120 ms ago, lease 1100 ms; 1 of 3 gateways see it down",
      },
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
    expect(judgePromotion({ ...evidence, epoch: 0 }, { ...alive, epoch: 0, epochHost: undefined }).kind).toBe(
      "accepted",
    );
  });

  test("tells a gateway that is behind who has the epoch, even when the change was planned", () => {
    const verdict = judgePromotion({ ...evidence, planned: true, epoch: 3 }, alive);
    expect(verdict).toEqual({ kind: "refused", refusal: { kind: "epoch_taken", epoch: 4, host: "a" } });
  });
});

describe("the log that a candidate has read to its end", () => {
  const view = { position: 12, vault: "0f7a" };

  test("is not that of the service when the primary was heard further on", () => {
    expect(judgeLog({ positionHeard: 12, vault: undefined }, view)).toBeUndefined();
    const refusal = judgeLog({ positionHeard: 31, vault: "0f7a" }, view);
    expect(refusal).toMatchObject({
      kind: "other_log",
      reason: expect.stringContaining("ends at position 12, and the primary was heard at 31"),
    });
  });

  test("is not that of the service when the vault has another identity, however far it is", () => {
    expect(judgeLog({ positionHeard: 0, vault: "beef" }, view)).toMatchObject({
      kind: "other_log",
      reason: expect.stringContaining("its identity is 0f7a"),
    });
    expect(judgeLog({ positionHeard: 0, vault: "beef" }, { ...view, vault: undefined })).toBeUndefined();
  });

  test("is asked for in a switchover too, and not when an operator forces it", () => {
    const vacated = { ...alive, vacated: true };
    expect(judgePromotion({ ...evidence, planned: true, positionHeard: 32 }, vacated)).toMatchObject({
      refusal: { kind: "other_log" },
    });
    expect(judgePromotion({ ...evidence, planned: true }, vacated).kind).toBe("accepted");
  });

  test("matters only when it is not ahead of the order", () => {
    expect(judgePromotion({ ...evidence, epoch: 3, positionHeard: 99 }, alive)).toMatchObject({
      refusal: { kind: "epoch_taken" },
    });
  });
});
