/** The events that gateways record: the column `what` of the view `events`, and the first word of a line of the log. */
import type { EventName } from "../../core/event-name.ts";
import { type CodeMeaning, codeMeaning, nothing } from "./code-meaning.ts";

const noAction = "Nothing.";

export const eventExplanations: Readonly<Record<EventName, CodeMeaning>> = {
  "no-primary-yet": codeMeaning(
    "The vault has never had a primary, so the best host becomes the first.",
    "Requests wait until it serves.",
    noAction,
  ),
  "primary-lost": codeMeaning(
    "The primary does not answer, hangs, or has lost its vault, and the gateways agreed to replace it. The detail says which.",
    "Requests wait at the gateways, usually for one to three seconds, and are then answered by the new primary.",
    "Look at that host: `stead status`, then its log. Start it again if it is down; it becomes a secondary by itself.",
  ),
  "primary-stepped-down": codeMeaning(
    "The primary gave up by itself, for example because its application did not start, and another host is promoted.",
    "Requests wait until the next host serves.",
    "Read the detail and that host's log; `stead status` shows when it may be primary again.",
  ),
  "primary-recovered": codeMeaning(
    "A primary that was thought to be lost answered again before another host was promoted.",
    "Some requests may have waited for a moment.",
    "If it repeats, look for pauses of that machine or its network (CPU steal, packet loss, live migration).",
  ),
  "primary-impaired": codeMeaning(
    "The primary's disk is read-only, full or hangs, its descriptors ran out, or its application is stuck. It hands over to a better host, or stays if there is none; the detail says which.",
    "A short wait while another host takes over; without one, writes may fail with the application's own error.",
    "Mend what the detail names (`dmesg`, free space, LimitNOFILE), then see that `stead status` shows no impairment.",
  ),
  "failover-done": codeMeaning(
    "Another host is primary and serves. `stead status` and the view `failover_phases` have the duration of each phase.",
    "Requests that waited are answered now.",
    "See why it was needed: `stead status`, and the view `failovers` (`stead sql`).",
  ),
  "failover-no-candidate": codeMeaning(
    "The primary is lost, and no other host can take over; the detail says for each host why not.",
    "Requests wait, and get an error when `gateway.hold.time` is over.",
    "Start a host, or mend what keeps the others from being candidates. It is tried again by itself.",
  ),
  "failover-braked": codeMeaning(
    "Several primaries ended for the same cause in a row, so the next takeover waits, up to a minute.",
    "Requests wait, and get an error when `gateway.hold.time` is over.",
    "Fix the cause that the detail names. `stead failover` acts at once.",
  ),
  "failover-vetoed": codeMeaning(
    "This gateway sees the primary down, but a candidate or the other gateways have evidence that it is alive.",
    "Through this gateway, requests may fail or wait; through the others nothing.",
    "Look at the network between this gateway and the primary. `stead failover HOST --force` replaces it anyway.",
  ),
  "failover-paused": codeMeaning(
    "The primary is lost, but automation is off (`stead pause`), so nothing is done.",
    "Requests wait, and get an error when `gateway.hold.time` is over.",
    "`stead failover` replaces it now; `stead resume` turns automation on, which replaces it too.",
  ),
  "failover-overtaken": codeMeaning(
    "An operator forced a failover while another one was in progress; the earlier one was given up.",
    "Requests wait until the new primary serves.",
    noAction,
  ),
  "promotion-failed": codeMeaning(
    "A host that was asked to take over refused or failed; the detail says why, and the next one is asked.",
    "The wait grows by the time that this attempt took.",
    "Mend what the detail names before this host is needed again; `stead rehearse HOST` tries it out.",
  ),
  "promotion-stuck": codeMeaning(
    "A host that was asked to take over made no progress, so the next one is asked.",
    "The wait grows by the time that this attempt took.",
    "Check that this host can write to its vault, and read its log. `stead failover HOST --force` overrides what is in progress.",
  ),
  "demotion-stuck": codeMeaning(
    "The primary was told to step down and did not in time: another host is promoted over it.",
    "A longer wait than at an ordinary switchover; no acknowledged write is lost.",
    "Look at that host: its application did not stop, or its disk hangs.",
  ),
  "call-lost": codeMeaning(
    "The connection to a host broke while it carried out an order; its status tells how that ended.",
    nothing,
    "If it repeats, look at the network between this gateway and that host.",
  ),
  "other-log": codeMeaning(
    "A candidate reads another vault than the service's, or one that has lost records. It is not promoted.",
    "Requests wait until another host takes over.",
    "Look at the mount of that host: compare `identity.json` in its `host.vault` with that of another host. If records are really gone, `stead failover HOST --force` continues without them.",
  ),
  "epoch-contradiction": codeMeaning(
    "Two hosts are said to own the same epoch, which one vault makes impossible.",
    "The gateway stays with the primary that it knows.",
    "See that all hosts of the service use one vault, and that no host is registered under a wrong address.",
  ),
  "epoch-disproved": codeMeaning(
    "A primary that a host or gateway had reported is in no log: the report was false and is dropped.",
    nothing,
    "Find the process that does not belong here: one of another vault, or a copy of a machine.",
  ),
  "epoch-refused": codeMeaning(
    "A report names an epoch that cannot be, and does not count.",
    nothing,
    "See that all hosts use one vault, and who answers at their addresses.",
  ),
  "vault-away": codeMeaning(
    "No host has reached the vault for 10 s. A failover would not help, so none is made.",
    "Writes wait, and reads too once the primary's lease is over; they are answered when the vault is back.",
    "Mend the vault: the mount or its server, the vault server, or the bucket. Nothing else is needed.",
  ),
  "vault-slow": codeMeaning(
    "Records have taken more than three leases for 30 s.",
    "Every write takes as long as the vault does.",
    "Look at the load of the vault's disk, server or network; a longer `host.lease` makes it tolerable, not faster.",
  ),
  "vault-well": codeMeaning("The vault answers normally.", nothing, noAction),
  "vault-back": codeMeaning("The vault answers normally again.", "Requests that waited are answered.", noAction),
  "host-unknown": codeMeaning("A host was not heard yet.", nothing, noAction),
  "host-up": codeMeaning("A host answers.", nothing, noAction),
  "host-down": codeMeaning(
    "A host does not answer its probes, or says that it failed. `info`: it was not heard since this gateway started.",
    "Nothing if it is a secondary; if it is the primary, `primary-lost` follows.",
    "Start it again; it restores by itself. `stead status` says what it reported last.",
  ),
  "wrong-host": codeMeaning(
    "At the control address of one host another one answers.",
    "Nothing, but the host that is registered there cannot take over.",
    "Correct its address: `stead hosts remove HOST`, then `stead hosts add HOST URL`.",
  ),
  "secret-refused": codeMeaning(
    "A host does not know the cluster's secret that this gateway has.",
    "Nothing as long as it is a secondary.",
    "`stead status` names who has which; copy the secret file to that machine, where it is read by itself.",
  ),
  "application-stuck": codeMeaning(
    "The application of the primary fails its check and makes no progress. It is restarted, or another host takes over.",
    "Requests hang until then.",
    "Read the detail (what it waits for) and the application's output. `host.application.health.patience` bounds the wait.",
  ),
  "application-restarting": codeMeaning(
    "The application ended or hung, and the host starts it again in place.",
    "Requests wait until it is ready; those that were being executed may be answered with 502.",
    "Read the application's output before that time.",
  ),
  "application-failing": codeMeaning(
    "The application's check fails, but it makes progress, so it is left alone.",
    "Depends on the application: it may be slow or answer with errors.",
    "Read the application's output; see that the check at `host.application.health.path` is cheap.",
  ),
  "application-ready": codeMeaning("The application is ready again.", "Requests are answered again.", noAction),
  "suspect-request": codeMeaning(
    "The application ended twice while such a request was in flight; it is set aside to protect the others.",
    "Such a request is answered with 503; one is let through as a trial now and then.",
    "Fix what the request causes, then `stead suspects clear`.",
  ),
  "suspect-cleared": codeMeaning(
    "A request that was set aside is forwarded again.",
    "Such requests are executed again.",
    noAction,
  ),
  rehearsed: codeMeaning(
    "The application was started on a copy of a secondary's databases, and was ready.",
    nothing,
    noAction,
  ),
  "rehearsal-failed": codeMeaning(
    "The application did not get ready on a copy of a secondary's databases: this host would not serve after a failover.",
    "Nothing now.",
    "The detail has the end of its output. Mend it, then `stead rehearse HOST`.",
  ),
  "restore-test-passed": codeMeaning(
    "A host restored the newest checkpoint and the journal after it, and SQLite found every database whole.",
    nothing,
    noAction,
  ),
  "restore-test-failed": codeMeaning(
    "A host could not restore the newest state from the vault, or SQLite found damage in it. The detail names what.",
    "Nothing now; a host that restores would use an older checkpoint, and if there is none, could not.",
    "`stead checkpoint` writes a new one from the primary; then `stead vault verify --restore` shows what is left. Look at the vault's disk.",
  ),
  "restore-test-skipped": codeMeaning(
    "A scheduled restore test could not be made: no room, a vault that did not answer, or this host was needed. The detail says which.",
    nothing,
    "If it is skipped again: give `host.restore_test.folder` room, or choose another time.",
  ),
  "hook-failed": codeMeaning(
    "A program of [host.hooks] failed on this host, or did not end in time. The detail has which, and the end of its output.",
    "before_start: this host did not become primary. on_promote, on_demote: nothing for clients of the gateways; an address or DNS name that it moves may be wrong.",
    "Run it by hand on that host, and mend it; `host.hooks` in the manual has its environment.",
  ),
  rewound: codeMeaning(
    "An operator rewound the service: an earlier state is its state again. The detail says which, and what was undone.",
    "Writes after that moment are gone, also those that were acknowledged. Requests waited as in a switchover.",
    "Nothing, or `stead rewind --position N` with the position that the detail names: it brings back what was undone.",
  ),
  "rewind-failed": codeMeaning(
    "A rewind was ordered and is not in the log: the state is as it was. The detail says why.",
    "Requests may have waited as in a switchover.",
    "Mend what the detail names, and try again: `stead rewind --dry-run` shows what would be undone.",
  ),
  pause: codeMeaning(
    "An operator turned automatic failover off. The detail has the end and the reason, if they were given.",
    "Nothing as long as the primary serves.",
    "`stead resume` when the work is done; with an end it is on again by itself then.",
  ),
  resume: codeMeaning(
    "Automatic failover is on again: an operator resumed it, or the time of `stead pause --for` is over.",
    nothing,
    noAction,
  ),
  "maintenance-on": codeMeaning(
    "An operator put the service into maintenance. The detail has the end and the reason, if they were given.",
    "Every request is answered with 503 and the maintenance page; none reaches the application.",
    "`stead maintenance off` when the work is done; with an end it is over by itself then.",
  ),
  "maintenance-off": codeMeaning(
    "Maintenance is over: an operator said so, or the time of `stead maintenance on --for` is.",
    "Requests go to the primary again.",
    noAction,
  ),
  "host-added": codeMeaning("An operator registered a host.", nothing, noAction),
  "host-changed": codeMeaning("An operator changed the settings of a host.", nothing, noAction),
  "host-drained": codeMeaning(
    "An operator drained a host: it is no candidate any more.",
    "A short wait if it was the primary.",
    "`stead hosts set HOST --nofailover no` makes it a candidate again; `stead hosts remove HOST` ends its registration.",
  ),
  "host-removed": codeMeaning(
    "A host is no longer registered: by an operator, or because it failed and `rejoin` is manual.",
    nothing,
    "`stead hosts add HOST URL` registers it again.",
  ),
  "database-excluded": codeMeaning(
    "An operator excluded a database from capture: it stays on its host and is missing after a failover.",
    "Responses that were held for it are released.",
    "`stead databases include NAME` once it can be captured.",
  ),
  "database-included": codeMeaning("A database is captured again.", nothing, noAction),
  "drill-planned": codeMeaning(
    "An operator has ordered a drill for a time. The detail has its kind, the time and who ordered it.",
    "None before that time; then requests wait as in a failover.",
    "`stead drill cancel` takes it back.",
  ),
  "drill-cancelled": codeMeaning(
    "A drill that was ordered for a time does not take place: it was taken back, or no gateway ran it within five minutes of its time. The detail says which.",
    nothing,
    "`stead drill --kind KIND --at TIME` orders another one.",
  ),
  "drill-started": codeMeaning(
    "A drill takes the primary away on purpose. The detail has its kind and who ordered it.",
    "Requests wait as in a failover.",
    noAction,
  ),
  "drill-passed": codeMeaning(
    "The service was back within its objective, or it has none. The detail has how long clients waited.",
    "They waited for the time in the detail.",
    "`stead drill report` has it for an auditor.",
  ),
  "drill-missed": codeMeaning(
    "The service was back, and clients waited for longer than `service.objective.rto`.",
    "They waited for the time in the detail.",
    "See which phase took the time: `stead status`, and the view `failover_phases` (`stead sql`).",
  ),
  "drill-failed": codeMeaning(
    "The primary refused the drill, the service was not back within two minutes, or a write that was acknowledged to the drill's probe is lost. The detail says which.",
    "None if it was refused; otherwise requests wait.",
    "`stead status` says what is missing; a hang or a partition ends by itself after a minute at most.",
  ),
  "certificate-expiring": codeMeaning(
    "The certificate of a gateway, or its authority, expires within 14 days.",
    "Nothing yet; from then on the other processes of the cluster refuse this gateway.",
    "Issue a new one with `stead ca issue` and replace the files: they are read again without a restart.",
  ),
  "certificate-issued": codeMeaning(
    "The authority of [gateway.tls.acme] has issued a certificate, and the gateway uses it for new connections.",
    nothing,
    noAction,
  ),
  "certificate-refused": codeMeaning(
    "The authority of [gateway.tls.acme] issued no certificate. The detail has its words, and when the gateway tries again.",
    "None while the present certificate is valid; after that, and without one, clients refuse the connection.",
    "Look whether every name leads to the gateways, at port 80 (http-01) or 443 (tls-alpn-01), and wait where a limit of the authority was reached.",
  ),
  "worker-lost": codeMeaning(
    "A worker process of the gateway ended and is started again.",
    "The connections that it carried are closed.",
    "If it repeats, read the gateway's log, and look for the kernel's OOM killer.",
  ),
  defect: codeMeaning(
    "An error of stead itself while it handled a message; it continues without its effect.",
    "Usually nothing.",
    "Report it with the detail and the gateway's log.",
  ),
};
