/**
 * The body of a record, by kind: the payload in format 1, its first section in format 2 (section-codec.ts).
 * Little-endian; a string is a u16 length and that many bytes of UTF-8.
 *
 *     epoch       lease ms u32, control URL string, instance string
 *     commit      part u32, parts u32, databases u32, then for each database
 *                   name string, page size u32, page count u32, checksum 16 bytes, pages u32,
 *                   then for each page: number u32, content (page size bytes)
 *     renew       nothing
 *     checkpoint  position u64, manifest hash 32 bytes
 *     vacate      reason string, has successor u8 (0 or 1), successor string when 1
 *
 * The same checks run when a payload is written and when it is read (`check…`): a payload that a reader would refuse is
 * never written. Decoded page contents are views into the record's bytes.
 */
import { isDatabaseName } from "../../core/database-name.ts";
import type { DatabaseDelta, Page } from "../../core/delta.ts";
import { leaseMsMax, leaseMsMin } from "../../core/host/lease.ts";
import { ByteReader, type ByteWriter, MalformedBytes, stringBytes } from "./bytes.ts";
import { recordDatabasesMax } from "../limits.ts";
import type { RecordBody } from "../record.ts";
import { messageOf } from "../../runtime/operator-error.ts";

export type RecordKind = RecordBody["kind"];

const checksumBytes = 16;
const hashBytes = 32;
const u32Max = 0xffff_ffff;

/** Returns the exact number of payload bytes. Throws RangeError for a body that cannot be stored. */
export function payloadLength(body: RecordBody): number {
  switch (body.kind) {
    case "epoch":
      checkLease(body.leaseMs);
      return 4 + stringBytes(body.controlUrl) + stringBytes(body.instance);
    case "commit": {
      checkCommit(body);
      let length = 12;
      for (const database of body.databases) {
        length += stringBytes(database.name) + 12 + checksumBytes + database.pages.length * (4 + database.pageSize);
      }
      return length;
    }
    case "renew":
      return 0;
    case "checkpoint":
      if (!/^[0-9a-f]{64}$/.test(body.manifestHash))
        throw new RangeError("manifestHash is not a SHA-256 in lower-case hex");
      return 8 + hashBytes;
    case "vacate":
      return stringBytes(body.reason) + 1 + (body.successor === undefined ? 0 : stringBytes(body.successor));
  }
}

/** Writes the payload; the writer has room for `payloadLength(body)` bytes. */
export function writePayload(writer: ByteWriter, body: RecordBody): void {
  switch (body.kind) {
    case "epoch":
      writer.u32(body.leaseMs);
      writer.string(body.controlUrl);
      writer.string(body.instance);
      return;
    case "commit":
      writer.u32(body.part);
      writer.u32(body.parts);
      writer.u32(body.databases.length);
      for (const database of body.databases) writeDelta(writer, database);
      return;
    case "renew":
      return;
    case "checkpoint":
      writer.u64(body.checkpointPosition);
      writer.bytes(Buffer.from(body.manifestHash, "hex"));
      return;
    case "vacate":
      writer.string(body.reason);
      writer.u8(body.successor === undefined ? 0 : 1);
      if (body.successor !== undefined) writer.string(body.successor);
      return;
  }
}

/** Reads a body that takes up all of `bytes`. Throws MalformedBytes. */
export function readPayload(kind: RecordKind, bytes: Buffer): RecordBody {
  const reader = new ByteReader(bytes, 0);
  const body = readBody(kind, reader);
  reader.expectEnd();
  return body;
}

function readBody(kind: RecordKind, reader: ByteReader): RecordBody {
  switch (kind) {
    case "epoch": {
      const leaseMs = reader.u32();
      refuse(() => checkLease(leaseMs));
      return { kind, leaseMs, controlUrl: reader.string(), instance: reader.string() };
    }
    case "commit": {
      const part = reader.u32();
      const parts = reader.u32();
      const count = reader.u32();
      if (count > recordDatabasesMax) throw new MalformedBytes(`${count} databases`, `at most ${recordDatabasesMax}`);
      const databases: DatabaseDelta[] = [];
      for (let index = 0; index < count; index += 1) databases.push(readDelta(reader));
      const body = { kind, part, parts, databases } as const;
      refuse(() => checkCommit(body));
      return body;
    }
    case "renew":
      return { kind };
    case "checkpoint":
      return {
        kind,
        checkpointPosition: reader.u64(),
        manifestHash: Buffer.from(reader.bytes(hashBytes)).toString("hex"),
      };
    case "vacate": {
      const reason = reader.string();
      const has = reader.u8();
      if (has > 1) throw new MalformedBytes(`successor flag ${has}`, "0 or 1");
      return { kind, reason, successor: has === 1 ? reader.string() : undefined };
    }
  }
}

/** A commit of one database up to its pages, which stand behind it already. */
export function writeBeforePages(writer: ByteWriter, body: Extract<RecordBody, { kind: "commit" }>): void {
  writer.u32(body.part);
  writer.u32(body.parts);
  writer.u32(body.databases.length);
  for (const database of body.databases) writeDeltaHead(writer, database);
}

/** Bytes of a commit of one database before its first page. */
export const bytesBeforePages = (name: string): number => 12 + stringBytes(name) + 12 + checksumBytes;

function writeDelta(writer: ByteWriter, delta: DatabaseDelta): void {
  writeDeltaHead(writer, delta);
  for (const page of delta.pages) {
    writer.u32(page.number);
    writer.bytes(page.content);
  }
}

function writeDeltaHead(writer: ByteWriter, delta: DatabaseDelta): void {
  writer.string(delta.name);
  writer.u32(delta.pageSize);
  writer.u32(delta.pageCount);
  writer.bytes(delta.checksum);
  writer.u32(delta.pages.length);
}

function readDelta(reader: ByteReader): DatabaseDelta {
  const name = reader.string();
  const pageSize = reader.u32();
  const pageCount = reader.u32();
  const checksum = reader.bytes(checksumBytes);
  const count = reader.u32();
  if (!isPageSize(pageSize)) throw new MalformedBytes(`page size ${pageSize}`, "a power of two from 512 to 65536");
  if (count * (4 + pageSize) > reader.remaining)
    throw new MalformedBytes(`${count} pages`, `no more than fit in ${reader.remaining} bytes`);
  const pages: Page[] = [];
  for (let index = 0; index < count; index += 1) pages.push({ number: reader.u32(), content: reader.bytes(pageSize) });
  return { name, pageSize, pageCount, checksum, pages };
}

function checkCommit(body: Extract<RecordBody, { kind: "commit" }>): void {
  checkU32("part", body.part);
  checkU32("parts", body.parts);
  if (body.part < 1 || body.part > body.parts) throw new RangeError(`part ${body.part} of ${body.parts}`);
  if (body.databases.length > recordDatabasesMax)
    throw new RangeError(`${body.databases.length} databases in one record, at most ${recordDatabasesMax}`);
  for (const database of body.databases) checkDelta(database);
}

function checkDelta(delta: DatabaseDelta): void {
  if (!isDatabaseName(delta.name))
    throw new RangeError("a database name must be a relative path with forward slashes and without dot segments");
  if (!isPageSize(delta.pageSize))
    throw new RangeError(`page size ${delta.pageSize} is not a power of two from 512 to 65536`);
  checkU32("pageCount", delta.pageCount);
  if (delta.checksum.length !== checksumBytes)
    throw new RangeError(`a checksum of ${delta.checksum.length} bytes, not ${checksumBytes}`);
  for (const page of delta.pages) {
    if (page.number < 1 || page.number > delta.pageCount)
      throw new RangeError(`page ${page.number} of a database of ${delta.pageCount} pages`);
    if (page.content.length !== delta.pageSize)
      throw new RangeError(`page ${page.number} has ${page.content.length} bytes, not ${delta.pageSize}`);
  }
}

/** src/core/host/lease.ts says why a lease beyond the bounds is refused, not shortened. */
function checkLease(leaseMs: number): void {
  if (!Number.isInteger(leaseMs) || leaseMs < leaseMsMin || leaseMs > leaseMsMax)
    throw new RangeError(`a lease of ${leaseMs} ms is not a whole number from ${leaseMsMin} to ${leaseMsMax}`);
}

const isPageSize = (size: number): boolean =>
  Number.isInteger(size) && size >= 512 && size <= 65536 && (size & (size - 1)) === 0;

function checkU32(what: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > u32Max)
    throw new RangeError(`${what} is ${value}, not a whole number below 2^32`);
}

function refuse(check: () => void): void {
  try {
    check();
  } catch (error) {
    throw new MalformedBytes(messageOf(error), "a record that could have been written");
  }
}
