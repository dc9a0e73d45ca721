import { describe, expect, test } from "bun:test";
import { fileUserOf, journaledAttributes, ownerOnHost, ownersOwn } from "../../../src/core/files/file-owner.ts";

const own = { mode: 0o640, uid: ownersOwn, gid: ownersOwn };

describe("owners of files", () => {
  test("that are the host's own are the host's own everywhere, whatever its number", () => {
    const host = fileUserOf(false, { uid: 1, gid: 1 });
    expect(journaledAttributes({ mode: 0o640, uid: 1001, gid: 1001 }, host)).toEqual(own);
    expect(ownerOnHost(own, host)).toBeUndefined();
    expect(ownerOnHost({ mode: 0, uid: 33, gid: 33 }, host)).toBeUndefined();
  });

  test("that are the application's user are that user's on each host, and others keep their numbers", () => {
    const [here, there] = [fileUserOf(true, { uid: 1001, gid: 1002 }), fileUserOf(true, { uid: 2001, gid: 2002 })];
    expect(journaledAttributes({ mode: 0o640, uid: 1001, gid: 1002 }, here)).toEqual(own);
    expect(ownerOnHost(own, there)).toEqual({ uid: 2001, gid: 2002 });
    const other = journaledAttributes({ mode: 0o600, uid: 0, gid: 1002 }, here);
    expect(other).toEqual({ mode: 0o600, uid: 0, gid: ownersOwn });
    expect(ownerOnHost(other, there)).toEqual({ uid: 0, gid: 2002 });
  });

  test("are numbers for root, who owns what no number says", () => {
    const root = fileUserOf(true, undefined);
    expect(journaledAttributes({ mode: 0o644, uid: 33, gid: 34 }, root)).toEqual({ mode: 0o644, uid: 33, gid: 34 });
    expect(ownerOnHost({ mode: 0o644, uid: 33, gid: 34 }, root)).toEqual({ uid: 33, gid: 34 });
    expect(ownerOnHost(own, root)).toEqual({ uid: 0, gid: 0 });
  });
});
