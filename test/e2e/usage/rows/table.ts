/**
 * The table of usages that were not right once, row by row in its order, with what is tested of each in every engine.
 */
import * as ended from "./ended.ts";
import * as names from "./names.ts";
import type { Row } from "./row.ts";
import * as transactions from "./transactions.ts";
import * as files from "./whole-files.ts";

export const table: readonly Row[] = [
  { usage: "locks switched off with locking_mode=exclusive and WAL", parts: ended.withoutLocks },
  { usage: "an engine that writes the WAL and coordinates by other files", parts: [ended.multiprocessWal] },
  {
    usage: "a database that is renamed to a matching name while a connection writes to it",
    parts: [ended.renamedWhileOpen],
  },
  { usage: "a file over 16 MiB, made at full size and then filled", parts: [files.preallocatedLarge] },
  { usage: "the same at 10 MB", parts: [files.preallocatedSmall] },
  { usage: "a database copied into place", parts: [files.copied, files.copiedInPieces] },
  { usage: "transactions over two ATTACHed databases", parts: [transactions.attached] },
  { usage: "delete and create again under the same name between two looks", parts: [files.madeAgain] },
  {
    usage: "a hard link under a matching name to a database that is written by another name",
    parts: [names.linkedToOther, names.linkedForBackup],
  },
  { usage: "the contents of the data folder deleted while connections are held", parts: [ended.deletedWhileOpen] },
  { usage: "VACUUM INTO and a rename over an earlier copy", parts: [files.backup] },
  { usage: "restore of an application by renames", parts: [files.restoredByRenames] },
  {
    usage: "a plain file, a symbolic link, an encrypted database, odd names at run time",
    parts: [
      names.plainFile,
      names.linkedBySymbol,
      names.sealedFile,
      names.backslash,
      names.latin,
      names.renamedToLatin,
    ],
  },
  { usage: "the same at the start", parts: [ended.oddAtStart] },
  { usage: "one tenant database too many", parts: [ended.beyondTheMost] },
  { usage: "many databases under ulimit -n 256", parts: [ended.descriptors] },
  { usage: "locking_mode=EXCLUSIVE on a database that exists already", parts: [ended.exclusiveOnExisting] },
  { usage: "the same on an empty folder", parts: [ended.exclusiveOnNew] },
  { usage: "a forgotten read transaction", parts: [transactions.forgottenReader] },
  { usage: "a writer without busy timeout", parts: [transactions.hasty] },
  { usage: "one giant transaction", parts: [transactions.giant] },
  { usage: "RESTART and TRUNCATE checkpoints in tight loops", parts: [transactions.checkpointLoops] },
  {
    usage: "a giant transaction on a busy machine",
    parts: [transactions.giant],
    elsewhere: [
      ["test/host/primary/journal.test.ts", "renewals are put during a long collection, and the flush follows them"],
    ],
  },
  { usage: "a new database in rollback mode that stays locked", parts: [transactions.lockedWhenNew] },
  { usage: "create and delete of a database in quick succession", parts: [files.quickSuccession] },
  { usage: "names that end in -journal, -wal, -shm", parts: [names.likeCompanions] },
  {
    usage: "data, state and set_aside on different file systems",
    parts: [],
    elsewhere: [
      [
        "test/host/secondary/local-data.test.ts",
        "databases are copied where a rename cannot move them, and diverged ones are set aside on a third place",
      ],
    ],
  },
  {
    usage: "a full data disk at a restore",
    parts: [],
    elsewhere: [
      [
        "test/e2e/usage/full-disk.test.ts",
        "a second host whose data disk is too small says how many bytes are missing, and follows when it has grown",
      ],
    ],
  },
  { usage: "corrupt pages in a bootstrap database", parts: [ended.damagedAtStart] },
];
