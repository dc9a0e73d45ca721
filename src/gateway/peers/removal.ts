/** An operator removes a gateway that is gone: it counts for no majority any more, and its views are forgotten. */
import { fromValues } from "../state/replication-tables.ts";
import { putGateway, putHealth } from "../state/rows.ts";
import type { gateways, health } from "../state/schema.ts";
import type { StateStore } from "../state/store.ts";

export type RemoveAnswer = { readonly kind: "removed" } | { readonly kind: "unknown" } | { readonly kind: "self" };

export function removeGateway(store: StateStore, self: string, id: string): RemoveAnswer {
  if (id === self) return { kind: "self" };
  const row = store.replica.get("gateways", id);
  if (row === undefined || row.deleted) return { kind: "unknown" };
  store.write(putGateway({ ...fromValues<typeof gateways.$inferSelect>(row), deleted: true }));
  for (const seen of store.replica.rowsOf("health")) {
    if (seen.values["gateway"] === id && !seen.deleted)
      store.write(putHealth({ ...fromValues<typeof health.$inferSelect>(seen), deleted: true }));
  }
  return { kind: "removed" };
}
