/**
 * Attack: one SELECT makes the reader process allocate gigabytes: a text of a billion characters, hundreds of long
 * values in one row, an aggregate or a sort that keeps everything.
 *
 * Rule: a value, a row and the process are bounded (read-only-database.ts, memory-limit.ts). Over it: a clear error,
 * and the next statement is answered.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { secret, TestCluster } from "../support/gateway/cluster.ts";

/** The runtime, the limit, and a row as JavaScript and as JSON. */
const residentMax = 512 * 1024 ** 2;
const cluster = new TestCluster();
beforeAll(() => cluster.startGateway());
afterAll(() => cluster.stop());

/** The most memory that the reader of this gateway ever had, in bytes. */
function readerPeak(): number {
  const peaks = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const isReader = readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(`\0${cluster.folder}/gateway.db`);
        const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
        return isReader && peak !== undefined ? [Number(peak) * 1024] : [];
      } catch {
        return []; // it ended meanwhile
      }
    });
  return Math.max(0, ...peaks);
}

async function codeOf(sql: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}/v3/pipeline`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}` },
    body: JSON.stringify({ requests: [{ type: "execute", stmt: { sql } }] }),
  });
  const { results } = (await response.json()) as { results: { type: string; error?: { code: string } }[] };
  return results[0]?.error?.code ?? results[0]?.type ?? "";
}

const text = (length: number): string => `printf('%.*c', ${length}, 'x')`;
const columns = (count: number, of: string): string => Array.from({ length: count }, (_, i) => `${of} as c${i}`).join();
const rows = "with recursive n(x) as (select 1 union all select x + 1 from n)";

for (const [what, sql, code] of [
  ["a text of a billion characters", `select ${text(999_999_999)}`, "SQLITE_TOOBIG"],
  ["a blob of a billion bytes", "select zeroblob(999999999)", "SQLITE_TOOBIG"],
  ["a row of 190 long values", `select ${columns(190, text(4_000_000))}`, "SQLITE_NOMEM"],
  ["a row of a thousand values", `select ${columns(1_000, "1")}`, "SQLITE_ERROR"],
  ["an aggregate of everything", `${rows} select group_concat(${text(1_000)}) from n`, "SQLITE_TOOBIG"],
  ["a sort of everything", `${rows} select x from (select x, ${text(100_000)} as t from n limit 50000) order by t`, ""],
] as const) {
  test(`${what} is an error, and not gigabytes`, async () => {
    const found = await codeOf(sql);
    expect(["SQLITE_NOMEM", "SQL_TIMEOUT", "SQL_RESULT_TOO_LARGE", code]).toContain(found);
    expect(readerPeak()).toBeLessThan(residentMax);
    expect(await codeOf("select 1")).toBe("ok");
  }, 30_000);
}
