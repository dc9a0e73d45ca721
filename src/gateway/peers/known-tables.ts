/**
 * Which of the shared tables a peer knows: gateways are upgraded one by one, and one of an earlier version accepts no
 * row of a message with a table or column that it does not have.
 *
 * Each message says which tables and columns its sender has. Rows of other tables are not sent to it; a table of which
 * it lacks a column is one that it does not have, because it would pass the row on without the column, under the same
 * stamp.
 *
 * It then claims rows that it does not have. Two rules keep that from costing a row:
 * - what it claims is not adopted (`hasAll`): its rows are merged, and come again until it is upgraded;
 * - the migration that adds a table or column empties the vector: an upgraded gateway claims nothing, and gets all.
 * Its own writes count: it writes no rows of tables that it does not know.
 */
import type { PeerMessage } from "../../control/peer-api.ts";
import type { ReplicatedRow } from "../../core/replication/row.ts";
import { sharedTables } from "../state/replication-tables.ts";

/** The tables of gateways from before messages said which there are. */
const tablesBefore: ReadonlySet<string> = new Set([
  ...["services", "hosts", "gateways", "health", "epochs", "failovers", "events"],
]);

/** What messages of this version say. */
export const ownTables: Readonly<Record<string, string[]>> = Object.fromEntries(
  [...sharedTables.values()].map(({ name, columns }) => [name, columns.map((column) => column.name)]),
);

export class KnownTables {
  readonly #missing: ReadonlySet<string>;

  constructor({ knows }: Pick<PeerMessage, "knows">) {
    const lacks = ({
      name,
      columns,
    }: {
      readonly name: string;
      readonly columns: readonly { readonly name: string }[];
    }) =>
      knows === undefined || knows === null
        ? !tablesBefore.has(name)
        : !columns.every((column) => Object.hasOwn(knows, name) && knows[name]?.includes(column.name));
    this.#missing = new Set([...sharedTables.values()].filter(lacks).map(({ name }) => name));
  }

  /** True if the peer has all tables of this version: what it claims to know, it has. */
  get hasAll(): boolean {
    return this.#missing.size === 0;
  }

  /** In words, in order. */
  get missing(): string {
    return [...this.#missing].sort().join(", ");
  }

  /** Returns the rows that can be sent. */
  select(rows: readonly ReplicatedRow[]): readonly ReplicatedRow[] {
    return this.hasAll ? rows : rows.filter(({ table }) => !this.#missing.has(table));
  }
}

/** Rows that were not sent to peers, which do not have their tables. */
export class Withheld {
  readonly #peers = new Map<string, { readonly tables: string; readonly rows: number }>();

  /** Returns the rows that the peer can be sent, and counts the others. */
  select(
    peer: string | undefined,
    tables: KnownTables | undefined,
    rows: readonly ReplicatedRow[],
  ): readonly ReplicatedRow[] {
    if (tables === undefined) return rows;
    const selected = tables.select(rows);
    if (peer === undefined) return selected;
    const before = this.#peers.get(peer)?.rows ?? 0;
    if (tables.hasAll) this.#peers.delete(peer);
    else this.#peers.set(peer, { tables: tables.missing, rows: before + rows.length - selected.length });
    return selected;
  }

  /** What operators are told of a peer. */
  warningOf(peer: string): string | undefined {
    const withheld = this.#peers.get(peer);
    if (withheld === undefined) return undefined;
    const { tables, rows } = withheld;
    return `its version does not have the tables ${tables}: rows of them are not sent (${rows} so far); upgrade it, and it gets them`;
  }
}
