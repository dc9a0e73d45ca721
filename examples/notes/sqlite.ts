/** SQLite of the runtime: Bun's, or that of Node and Deno, as the few calls that the notes need. */
interface Statement<T, P extends readonly (string | number)[]> {
  get(...parameters: P): T | null;
  all(...parameters: P): T[];
  run(...parameters: P): unknown;
}

export interface SqliteFile {
  run(sql: string): unknown;
  query<T, P extends readonly (string | number)[]>(sql: string): Statement<T, P>;
  /** Runs the body in a transaction that is begun for writing, or for reading. */
  within<T>(kind: "IMMEDIATE" | "DEFERRED", body: () => T): T;
  close(): void;
}

export async function openSqlite(path: string): Promise<SqliteFile> {
  if ("Bun" in globalThis) {
    const { Database } = await import("bun:sqlite");
    const database = new Database(path, { create: true, strict: true });
    return {
      run: (sql) => database.run(sql),
      query: <T, P extends readonly (string | number)[]>(sql: string) =>
        database.query(sql) as unknown as Statement<T, P>,
      within: (kind, body) => {
        const transaction = database.transaction(body);
        return kind === "IMMEDIATE" ? transaction.immediate() : transaction.deferred();
      },
      close: () => database.close(),
    };
  }
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(path);
  return {
    run: (sql) => database.exec(sql),
    query: <T, P extends readonly (string | number)[]>(sql: string): Statement<T, P> => {
      const statement = database.prepare(sql);
      return {
        get: (...parameters) => (statement.get(...parameters) as T | undefined) ?? null,
        all: (...parameters) => statement.all(...parameters) as T[],
        run: (...parameters) => statement.run(...parameters),
      };
    },
    within: (kind, body) => {
      database.exec(`BEGIN ${kind}`);
      try {
        const result = body();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    },
    close: () => database.close(),
  };
}
