/**
 * The state of a service as a whole: the checksums of its databases, and that of the files beside them under a name
 * that no database has.
 */
export const filesStateName = "/files";

/** `files`: of the tree; undefined or zeros: there are none. */
export function wholeState<Checksum extends Uint8Array>(
  databases: ReadonlyMap<string, Checksum>,
  files: Checksum | undefined,
): Map<string, Checksum> {
  const state = new Map(databases);
  if (files?.some((byte) => byte !== 0) === true) state.set(filesStateName, files);
  return state;
}
