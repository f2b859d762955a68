/* The words of the status page: what the daemon's own mean for people, and figures, sizes and times as they are read. */
const pageWords = (() => {
  "use strict";
  const MOODS = { ok: "good", unverified: "warn", failing_over: "bad", conflict: "bad", down: "bad", unknown: "warn" };
  const mood = (master) => (master.state === "ok" && master.reason ? "warn" : MOODS[master.state] || "bad");
  const serves = (master) => (master.state === "ok" || master.state === "unverified") && master.reason !== "watcher_stalled";
  const rank = (master) => (serves(master) ? (mood(master) === "good" ? 2 : 1) : 0); // the worst first
  const plain = (word) => String(word).replaceAll("_", " ");
  const place = (value) => (value && typeof value === "object" ? value.address : value) || null;
  const some = (n, one, many) => `${n} ${n === 1 ? one : many}`;

  const REASONS = {
    starting: "just started, the Sentinels are being asked",
    no_sentinel_reachable: "no Sentinel can be reached",
    sentinel_auth: "a Sentinel refuses our credentials",
    sentinel_tls: "TLS to the Sentinels fails",
    sentinel_denied: "a Sentinel's ACL denies what we ask",
    unknown_name: "the Sentinels do not know this name",
    no_majority: "no majority of the Sentinels names one address",
    redis_unreachable: "it can't be connected to",
    redis_timeout: "it does not answer in time",
    redis_auth: "it refuses our credentials",
    redis_denied: "its ACL denies asking for the role",
    redis_tls: "TLS to it fails",
    redis_loading: "it is still loading its data",
    role_mismatch: "it says that it is no master",
    failing_over: "the Sentinels are making another master",
    conflict: "Sentinels name different addresses at the same epoch",
    disputed: "it says that it is the master, but a Sentinel names another address",
    watcher_stalled: "this daemon stood still, and has not confirmed it again",
  };

  const EVENTS = {
    "+sdown": ["bad", "thinks it is down"],
    "-sdown": ["good", "sees it again"],
    "+odown": ["bad", "the quorum agrees that it is down"],
    "-odown": ["good", "the quorum no longer thinks it is down"],
    "+new-epoch": ["", "a new epoch begins"],
    "+try-failover": ["warn", "wants to run the failover"],
    "+vote-for-leader": ["", "votes for a leader"],
    "+elected-leader": ["warn", "was elected to run the failover"],
    "+failover-state-select-slave": ["warn", "is choosing a replica"],
    "+selected-slave": ["warn", "has chosen a replica"],
    "+failover-state-send-slaveof-noone": ["warn", "tells the replica to become master"],
    "+failover-state-wait-promotion": ["warn", "waits for the promotion"],
    "+promoted-slave": ["good", "sees the replica as master"],
    "+failover-state-reconf-slaves": ["", "turns the other replicas to the new master"],
    "+failover-end": ["good", "the failover is complete"],
    "+failover-end-for-timeout": ["warn", "ends the failover, some replicas did not follow in time"],
    "+switch-master": ["good", "announces the new master"],
    "-failover-abort-not-elected": ["bad", "gives up: not elected"],
    "-failover-abort-no-good-slave": ["bad", "gives up: no replica is fit"],
    "-failover-abort-slave-timeout": ["bad", "gives up: the replica did not become master in time"],
    "+tilt": ["bad", "does not trust its clock (TILT)"],
    "-tilt": ["good", "trusts its clock again"],
    "+reboot": ["warn", "was restarted"],
  };

  function duration(ms) {
    if (ms < 1000) {
      return `${Math.round(ms)} ms`;
    }
    if (ms < 60000) {
      return `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
    }
    const s = Math.round(ms / 1000);
    return s < 3600
      ? `${Math.floor(s / 60)} min ${s % 60} s`
      : s < 172800
        ? `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
        : `${Math.floor(s / 86400)} days`;
  }

  function ago(ms) {
    return ms < 1500
      ? "just now"
      : ms < 60000
        ? `${Math.round(ms / 1000)} s ago`
        : ms < 3600000
          ? `${Math.floor(ms / 60000)} min ago`
          : `${duration(ms)} ago`;
  }

  function bytes(n) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let i = 0;
    for (; n >= 1024 && i < units.length - 1; i += 1) {
      n /= 1024;
    }
    return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
  }

  /* "2026-11-22 12:00:00 UTC", or of the day only the time. */
  const day = (iso) => `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const clock = (iso) => `${new Date(iso).toISOString().slice(11, 23)} UTC`;
  const local = (iso) => new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });

  return { EVENTS, REASONS, mood, serves, rank, plain, place, some, duration, ago, bytes, day, clock, local };
})();
