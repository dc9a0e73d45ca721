/** The version of this program, for commands, records and errors. */
import packageFile from "../../package.json" with { type: "json" };

/** Set by scripts/build: the commit from which the executable was built. */
declare const STEAD_BUILD: string | undefined;

/** `0.1.0` */
export const programVersion: string = packageFile.version;

/** `0.1.0`, or `0.1.0+1a2b3c4` in a built executable. */
export function versionText(): string {
  const build = typeof STEAD_BUILD === "string" ? STEAD_BUILD : "";
  return build === "" ? programVersion : `${programVersion}+${build}`;
}
