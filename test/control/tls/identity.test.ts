import { expect, test } from "bun:test";
import { hostParty } from "../../../src/control/channel/transcript.ts";
import { hasIdentity, hasRole, parseIdentities } from "../../../src/control/tls/identity.ts";

test("names of another kind, role or form are no identity", () => {
  const names = [
    "DNS:stead.example",
    "URI:https://prod/gateway/g1",
    "URI:stead://prod/admin/g1",
    "URI:stead://prod/gateway/",
    "URI:stead://prod/gateway/*",
    "URI:stead://prod/gateway",
    "URI:stead://prod//g1",
  ];
  expect(parseIdentities(names.join(", "))).toEqual([]);
  expect(parseIdentities(undefined)).toEqual([]);
});

test("cluster, role and id must all fit", () => {
  const found = parseIdentities("DNS:a, URI:stead://prod/host/notes/a, URI:stead://prod/gateway/g1");
  expect(hasIdentity(found, "prod", hostParty("notes", "a"))).toBe(true);
  expect(hasIdentity(found, "prod", { role: "gateway", id: "*" })).toBe(true);
  expect(hasIdentity(found, "prod", hostParty("notes", "b"))).toBe(false);
  expect(hasIdentity(found, "staging", hostParty("notes", "a"))).toBe(false);
  expect(hasRole(found, "prod", ["operator"])).toBe(false);
  expect(hasRole(found, "prod", ["operator", "host"])).toBe(true);
});
