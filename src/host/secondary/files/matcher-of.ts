/** Which paths below a host's data folder are files of the service, by its configuration. */
import { relative, sep } from "node:path";
import type { HostConfig } from "../../../config/types.ts";
import { type FileMatcher, fileMatcher } from "../../../core/files/file-pattern.ts";

type Config = Pick<HostConfig, "dataFolder" | "databases" | "files" | "stateFolder" | "setAsideFolder">;

/** Returns undefined if the service has no files here. This host's own folders are none. */
export function matcherOf({
  dataFolder,
  databases,
  files,
  stateFolder,
  setAsideFolder,
}: Config): FileMatcher | undefined {
  if (files === undefined) return undefined;
  const reserved = [stateFolder, setAsideFolder]
    .map((folder) => relative(dataFolder, folder))
    .filter((path) => path !== "" && path !== ".." && !path.startsWith(`..${sep}`));
  return fileMatcher({ files: files.patterns, except: files.except, databases, reserved });
}
