/** Opens what a secondary writes: the databases of its data folder, and the files beside them. */
import type { KeptEvents } from "../capture/files/kept-events.ts";
import { Replica } from "../capture/replica.ts";
import type { HostConfig } from "../config/types.ts";
import { nameMatcher } from "../core/database-pattern.ts";
import { fileUserOf } from "../core/files/file-owner.ts";
import { PieceReader } from "../vault/checkpoint/piece-reader.ts";
import type { Log } from "../vault/log/log.ts";
import type { Store } from "../vault/store/store.ts";
import type { ApplicationUser } from "./application/application-user.ts";
import { matcherOf } from "./secondary/files/matcher-of.ts";
import { ReplicaWithFiles } from "./secondary/files/replica-with-files.ts";
import type { LocalData } from "./secondary/local-data.ts";

export interface ReplicaParts {
  readonly config: HostConfig;
  readonly local: LocalData;
  /** The application's, if that is not the host's. */
  readonly user: ApplicationUser | undefined;
  readonly store: Store;
  readonly vaultLog: Log;
  /** Of this host. */
  readonly kept: KeptEvents;
}

export const replicaOpener =
  ({ config, local, user, store, vaultLog: log, kept }: ReplicaParts) =>
  async (): Promise<ReplicaWithFiles> => {
    const databases = await Replica.open({
      root: config.dataFolder,
      spoolFolder: config.stateFolder,
      accessBefore: (name) => local.accessBefore(name, user),
      formerFile: (name) => local.formerDatabase(name),
      isListed: nameMatcher(config.databases, config.databasesExcept),
    });
    const pieces = new PieceReader({ store, log });
    const matcher = matcherOf(config);
    if (matcher !== undefined) await kept.begin();
    return new ReplicaWithFiles(databases, {
      ...{ root: config.dataFolder, matcher, kept, user: fileUserOf(process.geteuid?.() === 0, user) },
      ...{ previousFolder: local.previousFolder, known: local.previousPieces },
      fetch: (wanted) => pieces.read(wanted),
    });
  };
