/**
 * What happens around an installation, an upgrade and a removal, for .deb and .rpm. Plain POSIX sh.
 *
 * Nothing is started, restarted or enabled: a host that is restarted by an unattended upgrade gives its service up, on
 * all machines in the same minute. The order is in docs/OPERATIONS.md; until a process is restarted it runs the program
 * that it was started with. A removal stops the units, and keeps /etc/stead and /var/lib/stead: databases of an
 * application are not the package's to delete.
 */
import { unitNames } from "./linux-files.ts";

const reload = "if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi";

/** Makes user and folders without systemd too (a container, another init). */
const makeUser = `if command -v systemd-sysusers >/dev/null 2>&1; then
  systemd-sysusers stead.conf
elif ! getent passwd stead >/dev/null; then
  useradd --system --user-group --home-dir /var/lib/stead --no-create-home --shell /usr/sbin/nologin --comment stead stead
fi
mkdir -p /etc/stead
if [ ! -d /var/lib/stead ]; then install -d -m 0700 -o stead -g stead /var/lib/stead; fi`;

const upgraded = `echo "stead: processes that run keep the earlier program until they are restarted: gateways by SIGUSR2 or restart, then secondaries, then stead switchover and the old primary (OPERATIONS.md, Packages)"`;

/** What a template has started is stopped by a pattern; disabling the template disables all that is made of it. */
const stopUnits = `if [ -d /run/systemd/system ]; then
  for unit in ${unitNames.join(" ")}; do
    systemctl --no-reload disable "$unit" || true
    case "$unit" in *@.service) unit="\${unit%.service}*.service" ;; esac
    systemctl stop "$unit" || true
  done
fi`;

const script = (...parts: readonly string[]): string => `#!/bin/sh\nset -e\n${parts.join("\n")}\n`;

/** deb-postinst(5) and the like: the first argument names the step, the second which version was there. */
export const debScripts: Readonly<Record<string, string>> = {
  postinst: script(
    `if [ "$1" = configure ]; then`,
    makeUser,
    reload,
    `if [ -n "\${2:-}" ]; then ${upgraded}; fi`,
    "fi",
  ),
  prerm: script(`if [ "$1" = remove ]; then`, stopUnits, "fi"),
  postrm: script(
    `if [ "$1" = remove ]; then ${reload}; fi`,
    `if [ "$1" = purge ]; then echo "stead: /etc/stead, /var/lib/stead and the user stead are kept; delete them yourself if you are sure"; fi`,
  ),
};

/** Sections of a spec file: their first argument counts the versions that are installed behind this step. */
export const rpmScripts: Readonly<Record<"post" | "preun" | "postun", string>> = {
  post: `${makeUser}\n${reload}\nif [ "$1" -gt 1 ]; then ${upgraded}; fi`,
  preun: `if [ "$1" -eq 0 ]; then\n${stopUnits}\nfi`,
  postun: reload,
};
