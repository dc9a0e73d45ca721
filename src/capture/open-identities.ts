/** Finds the database of this process that has a file open: with thousands of databases, for each file found. */
import { type FileIdentity, fileIdentityKey } from "./file-identity.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

export class OpenFiles {
  readonly #owners = new Map<string, TrackedDatabase>();

  add(database: TrackedDatabase): void {
    for (const identity of database.files.identities) this.#owners.set(fileIdentityKey(identity), database);
  }

  /** Its files are closed. */
  remove(database: TrackedDatabase): void {
    for (const identity of database.files.identities)
      if (this.#owners.get(fileIdentityKey(identity)) === database) this.#owners.delete(fileIdentityKey(identity));
  }

  get(identity: FileIdentity): TrackedDatabase | undefined {
    return this.#owners.get(fileIdentityKey(identity));
  }
}
