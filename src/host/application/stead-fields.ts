/** Fields with our prefix in a response of the application: for the host, or forged. None of them leaves. */
import type { HeaderList } from "../../http/message/headers.ts";
import { steadFieldSet, withoutSteadFields } from "../../http/message/stead-fields.ts";

/** `Stead-Checkpoint: now` is a system event. */
export function takeSteadFields(headers: HeaderList, term: { onCheckpointAsked(): void }): HeaderList {
  if (headers.mayHave(steadFieldSet) && headers.get("stead-checkpoint") === "now") term.onCheckpointAsked();
  return withoutSteadFields(headers);
}
