/** Who sees whom, in the admin API of a gateway: every gateway's own look at each host, and at the other gateways. */
import * as v from "valibot";

const milliseconds = v.pipe(v.number(), v.minValue(0));
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(200));

/** What one gateway sees of a service, on its own clock. */
export const seenSchema = v.object({
  hosts: v.array(
    v.object({
      host: name,
      health: v.picklist(["unknown", "up", "down"]),
      /** How long the last probe that was answered took; null: none was. */
      latencyMs: v.nullable(milliseconds),
      /** Time since it was last heard; null: never. */
      ageMs: v.nullable(milliseconds),
    }),
  ),
  /** The other gateways whose word of the service it has, and the age of that. */
  gateways: v.array(v.object({ gateway: name, ageMs: milliseconds })),
});
export type Seen = v.InferOutput<typeof seenSchema>;

export const sightAnswerSchema = v.object({
  services: v.array(
    v.object({
      service: v.string(),
      /** Of this gateway, and of each other one that tells it. */
      views: v.array(
        v.object({
          gateway: v.string(),
          /** Time since it said so; 0: this gateway. */
          saidMsAgo: milliseconds,
          ...seenSchema.entries,
        }),
      ),
    }),
  ),
});
export type SightAnswer = v.InferOutput<typeof sightAnswerSchema>;
