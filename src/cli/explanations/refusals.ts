/** The codes with which gateways and hosts refuse a call, and with which a gateway refuses a query. */
import type { RefusalCode } from "../../control/refused.ts";
import type { Refusal } from "../../core/refusal.ts";
import { type CodeMeaning, codeMeaning, nothing } from "./code-meaning.ts";

/** `code` of an answer that is an error. */
export const refusalExplanations: Readonly<Record<RefusalCode, CodeMeaning>> = {
  malformed: codeMeaning(
    "The body of the call is not JSON, or does not match its schema.",
    nothing,
    "Correct the field that the error names; docs/openapi has the schemas.",
  ),
  "service-not-named": codeMeaning(
    "The gateway has several services, and the call names none.",
    nothing,
    "Name one: `--service NAME`.",
  ),
  "query-failed": codeMeaning(
    "The statement would do more than read, or SQLite refused it.",
    nothing,
    "Correct the statement; only SELECT, WITH, VALUES and EXPLAIN of these are accepted.",
  ),
  unauthorized: codeMeaning(
    "The call had no credential, a wrong one, or a certificate of another role.",
    nothing,
    "Give a valid token, or run the command where the cluster's configuration is; `stead token list` shows which tokens have expired.",
  ),
  forbidden: codeMeaning(
    "The role of the token does not suffice for this call.",
    nothing,
    "Use a token of a role that the answer accepts: `stead token add NAME --role operator`.",
  ),
  "no-such-call": codeMeaning(
    "There is no call with this method and path.",
    nothing,
    "Compare the versions: `stead version` here, and that of the gateway in `stead gateways list`.",
  ),
  "unknown-service": codeMeaning(
    "There is no service with this name.",
    nothing,
    "`stead status` lists the services of the gateway.",
  ),
  "unknown-host": codeMeaning(
    "No host with this id is registered.",
    nothing,
    "`stead hosts list` lists them; `stead hosts add ID URL` registers one.",
  ),
  "unknown-gateway": codeMeaning(
    "There is no gateway with this id.",
    nothing,
    "`stead gateways list` lists those of the cluster.",
  ),
  "unknown-token": codeMeaning("There is no token with this name.", nothing, "`stead token list` lists them."),
  "unknown-target": codeMeaning(
    "The gateway has no target of this name to tell, or none at all.",
    nothing,
    "`stead status --json` lists them; `[[notify]]` in the gateway's file adds one.",
  ),
  conflict: codeMeaning(
    "Not possible in the present state of the service or gateway; the error says why.",
    nothing,
    "See `stead status`, and do what the advice of the answer says.",
  ),
  overtaken: codeMeaning(
    "Another failover came before the one that was ordered.",
    "Requests wait until its primary serves.",
    "`stead status` has its result.",
  ),
  unfinished: codeMeaning(
    "The order did not end in time. It may still succeed.",
    "Requests may still wait.",
    "Watch `stead status --watch` before you order anything else.",
  ),
  "refused-by-host": codeMeaning(
    "The host refused the order; the error has its reason.",
    nothing,
    "Do what the reason asks for, or choose another host.",
  ),
  "no-answer": codeMeaning(
    "The host did not answer, or answered something unexpected.",
    nothing,
    "Look at that host and the network to it: `stead status`.",
  ),
  "too-large": codeMeaning("The body is larger than accepted.", nothing, "Send less."),
  "too-many-attempts": codeMeaning(
    "Too many wrong credentials came from this address; this one was not read.",
    nothing,
    "Wait for a second and give the right one. The view `audit` shows who has tried.",
  ),
  failed: codeMeaning(
    "The call failed for a reason that an operator can fix, for example because the vault is away.",
    nothing,
    "Do what the advice of the answer says.",
  ),
  defect: codeMeaning(
    "An error of stead itself while it answered a call.",
    nothing,
    "Report it; its stack is in the log of that gateway or host.",
  ),
};

/** `kind` of a host's refusal of an order (docs/CONTROL-API.md). */
export const hostRefusalExplanations: Readonly<Record<Refusal["kind"], CodeMeaning>> = {
  epoch_taken: codeMeaning(
    "Another host has claimed in the meantime, or this host is primary already.",
    "Requests wait until that host serves.",
    "Nothing; the gateway follows the log.",
  ),
  primary_alive: codeMeaning(
    "The primary wrote to the vault within its lease, and no majority of gateways sees it down.",
    nothing,
    "Look at the network between the gateway and the primary. `stead failover HOST --force` replaces it anyway.",
  ),
  not_ready: codeMeaning(
    "The state of the host does not allow the order; the reason says which.",
    nothing,
    "Wait until it is a secondary that follows (`stead status`), or choose another host.",
  ),
  order_expired: codeMeaning(
    "The order was in transit for too long, or was meant for an earlier run of the host.",
    "The wait grows by the time until the next order.",
    "Nothing; the gateway orders it again. If it repeats, look at the network and the load of that host.",
  ),
  other_log: codeMeaning(
    "The vault of this host is not the vault of the service, or has lost records.",
    "Requests wait until another host takes over.",
    "Look at its mount: compare `identity.json` in `host.vault` with that of another host.",
  ),
};

/** `code` of an error of `stead sql` and of other clients of the gateway's database (docs/GATEWAY-API.md). */
export const queryExplanations: Readonly<Record<string, CodeMeaning>> = Object.fromEntries(
  (
    [
      ["SQLITE_READONLY", "The statement would do more than read.", "Write SELECT, WITH, VALUES, or EXPLAIN of these."],
      ["SQL_MANY_STATEMENTS", "There is more than one statement.", "Send one at a time."],
      ["SQL_TIMEOUT", "The query took longer than its limit and was ended.", "Narrow it: a WHERE, or a LIMIT."],
      ["SQL_ROWS_LIMIT", "The result has too many rows.", "Add a LIMIT."],
      ["SQL_RESULT_TOO_LARGE", "The result is too large.", "Add a LIMIT, or send fewer requests in one pipeline."],
      ["SQL_TEXT_TOO_LARGE", "There is too much SQL in one pipeline.", "Send fewer statements in one."],
      ["SQL_READER_LOST", "The process that reads the database ended.", "Ask again: the next request starts another."],
      ["SQL_TRANSACTION_OPEN", "A transaction does not end within its batch.", "End it in the same batch."],
      ["SQL_BUSY", "Too many queries are waiting.", "Ask again later, or another gateway: each has all rows."],
      ["SQL_NOT_STORED", "`sql_id` names a text that was not stored.", "Store it first, in the same stream."],
      ["SQL_STORE_FULL", "Too many texts are stored in this stream.", "Close some of them."],
      ["SQLITE_TOOBIG", "A value, or a row, is too large.", "Select less of it: substr(), or fewer columns."],
      ["SQLITE_NOMEM", "A sort or a value needs too much memory.", "Narrow the query."],
      ["STREAM_CLOSED", "A request came after `close`.", "Open a new stream."],
      ["STREAM_EXPIRED", "The baton was already used, or is too old.", "Open a new stream."],
      ["HRANA_PROTO_ERROR", "The request does not follow Hrana.", "Use a client of libSQL, or correct the request."],
      ["HRANA_ENCODING", "Only JSON is supported.", "Use /v3 or /v2; clients do so by themselves."],
    ] as const
  ).map(([code, means, advice]) => [code, codeMeaning(means, nothing, advice)]),
);
