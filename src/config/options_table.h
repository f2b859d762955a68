/*
 * All options, one entry each: flags, environment, file, --help, the man page's list,
 * --print-config and the checks come from here. To add one: add the entry; if its value goes into a
 * field of struct options as it is (numbers, durations, sizes, switches, choices), that is all;
 * without a default the field is -1 where the option is not given.
 *
 * X(id, name, type, properties, field, default, min, max, choices, value's name, group, prose)
 *
 * No option is ever called `port` or `service-...`: Kubernetes injects BELLWETHER_PORT and
 * BELLWETHER_SERVICE_HOST for a Service that has this program's name.
 */
#ifndef BELLWETHER_CONFIG_OPTIONS_TABLE_H
#define BELLWETHER_CONFIG_OPTIONS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/commands/command_table.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define KIB INT64_C(1024)
#define GIB (KIB * KIB * KIB)

#define OPTIONS_DEFAULT_COMMANDS POLICY_DEFAULT

/* clang-format off */
/* Three options: for both sides, and for one each, which beats it. */
#define TLS_OPTIONS(X, id, name, type, fallback, choices, value, prose) \
X(TLS_##id, "tls-" name, type, PER_MASTER, NOWHERE, fallback, 0, 0, choices, value, TLS, prose) \
X(SENTINEL_TLS_##id, "sentinel-tls-" name, type, PER_MASTER, NOWHERE, NULL, 0, 0, choices, value, TLS, \
  "The same towards Sentinels only.") \
X(REDIS_TLS_##id, "redis-tls-" name, type, PER_MASTER, NOWHERE, NULL, 0, 0, choices, value, TLS, \
  "The same towards masters and replicas only.")

#define OPTIONS(X) \
X(SENTINEL, "sentinel", SEED, LIST | PER_MASTER, NOWHERE, NULL, 0, 0, NULL, "HOST:PORT", FINDING, \
  "A Sentinel to ask first; the others are learned from it. The only option that is needed. " \
  "IPv6 as [v6]:port; without a port 26379.") \
X(MASTER, "master", NAME, LIST, NOWHERE, NULL, 0, 0, NULL, "NAME", FINDING, \
  "A master to watch, by the name that the Sentinels give it. None: every one that they know.") \
X(DEFAULT_MASTER, "default-master", NAME, 0, NOWHERE, NULL, 0, 0, NULL, "NAME", FINDING, \
  "The one that /master speaks of. Else the first that is configured, or the only one known.") \
X(LEARN_SENTINELS, "learn-sentinels", SWITCH, 0, AT(watch.learn_sentinels), "on", 0, 0, NULL, "on|off", FINDING, \
  "Also dial and count the Sentinels that the configured ones list. Off: only the configured ones.") \
X(MAP, "map", MAP, LIST, NOWHERE, NULL, 0, 0, NULL, "FROM=TO", FINDING, \
  "Where NAT changes addresses: host:port=host:port, or host=host for every port. " \
  "Applied to what is compared, published and dialled, Sentinels included.") \
X(POLL_INTERVAL, "poll-interval", DURATION, 0, AT(watch.poll_interval_ms), "1s", 10, HOUR_MS, NULL, "TIME", FINDING, \
  "How often each Sentinel is asked when all is calm.") \
X(SENTINEL_TIMEOUT, "sentinel-timeout", DURATION, 0, AT(watch.sentinel_timeout_ms), "500ms", 10, 10 * MINUTE_MS, NULL, "TIME", FINDING, \
  "How long a Sentinel may take to answer or to be connected to.") \
X(VERIFY, "verify", SWITCH, 0, AT(watch.verify), "on", 0, 0, NULL, "on|off", VERIFYING, \
  "Ask the node itself for its role before and while it is published.") \
X(VERIFY_INTERVAL, "verify-interval", DURATION, 0, AT(watch.verify_interval_ms), "1s", 10, HOUR_MS, NULL, "TIME", VERIFYING, \
  "How often the published master is asked for its role.") \
X(VERIFY_TIMEOUT, "verify-timeout", DURATION, 0, AT(watch.verify_timeout_ms), "500ms", 10, 10 * MINUTE_MS, NULL, "TIME", VERIFYING, \
  "How long it may take to answer.") \
X(SUSPECT_AFTER, "suspect-after", DURATION, 0, AT(watch.suspect_after_ms), "1500ms", 10, HOUR_MS, NULL, "TIME", VERIFYING, \
  "How long the question for its role may go unanswered before a silent master is served no longer.") \
X(ADOPT, "adopt", CHOICE, 0, AT(watch.adopt), "announced", 0, 0, "announced|promoted", "WHEN", VERIFYING, \
  "When a failover's new master is believed: when a Sentinel announces it, or 0.7 to 1 s earlier, when the replica that the " \
  "elected leader chose says master itself. If that leader dies right then, or the node was demoted less than " \
  "10 s before, the others may turn it back: what was written to it is lost.") \
X(SENTINEL_USERNAME, "sentinel-username", TEXT, PER_MASTER, NOWHERE, NULL, 0, 0, NULL, "USER", CREDENTIALS, \
  "ACL user on the Sentinels.") \
X(SENTINEL_PASSWORD_FILE, "sentinel-password-file", FILE, PER_MASTER, NOWHERE, NULL, 0, 0, NULL, "FILE", CREDENTIALS, \
  "File with the password for the Sentinels; one newline at its end is no part of it.") \
X(SENTINEL_PASSWORD, "sentinel-password", SECRET, ENVIRONMENT_ONLY, NOWHERE, NULL, 0, 0, NULL, "PASSWORD", CREDENTIALS, \
  "The password for the Sentinels itself.") \
X(REDIS_USERNAME, "redis-username", TEXT, PER_MASTER, NOWHERE, NULL, 0, 0, NULL, "USER", CREDENTIALS, \
  "ACL user on masters and replicas.") \
X(REDIS_PASSWORD_FILE, "redis-password-file", FILE, PER_MASTER, NOWHERE, NULL, 0, 0, NULL, "FILE", CREDENTIALS, \
  "File with the password for masters and replicas.") \
X(REDIS_PASSWORD, "redis-password", SECRET, ENVIRONMENT_ONLY, NOWHERE, NULL, 0, 0, NULL, "PASSWORD", CREDENTIALS, \
  "The password for masters and replicas itself.") \
X(SENTINEL_TLS, "sentinel-tls", SWITCH, PER_MASTER, NOWHERE, "off", 0, 0, NULL, "on|off", TLS, \
  "Speak TLS to the Sentinels.") \
X(REDIS_TLS, "redis-tls", SWITCH, PER_MASTER, NOWHERE, "off", 0, 0, NULL, "on|off", TLS, \
  "Speak TLS to masters and replicas; the url of an answer is rediss:// then.") \
TLS_OPTIONS(X, CA, "ca", FILE, NULL, NULL, "PATH", \
  "Whose certificates are trusted: a file, or a folder of files, of certificates in PEM form. None: what the system trusts. This " \
  "file and the two below are read again when they change.") \
TLS_OPTIONS(X, CERT, "cert", FILE, NULL, NULL, "FILE", \
  "The certificate that is shown to who asks for one, with its issuers behind it.") \
TLS_OPTIONS(X, KEY, "key", FILE, NULL, NULL, "FILE", \
  "Its private key, without a pass phrase.") \
TLS_OPTIONS(X, VERIFY, "verify", CHOICE, "full", "full|ca|off", "WHAT", \
  "What of a server's certificate is checked: who issued it and that it is for the name or address that is dialled, who issued " \
  "it, or nothing.") \
TLS_OPTIONS(X, SERVER_NAME, "server-name", TEXT, NULL, NULL, "NAME", \
  "The name that certificates must be for, instead of the name or address that is dialled.") \
TLS_OPTIONS(X, MIN_VERSION, "min-version", CHOICE, "1.2", "1.2|1.3", "VERSION", \
  "The oldest version of TLS that is spoken.") \
TLS_OPTIONS(X, CIPHERS, "ciphers", TEXT, NULL, NULL, "LIST", \
  "Ciphers of TLS 1.2, as OpenSSL names them, with a colon between two.") \
TLS_OPTIONS(X, CIPHERSUITES, "ciphersuites", TEXT, NULL, NULL, "LIST", \
  "Cipher suites of TLS 1.3, likewise.") \
X(SELF, "self", NODE, LIST, NOWHERE, NULL, 0, 0, NULL, "HOST:PORT", SELF, \
  "The Redis node beside this daemon, for /self. Found among the known nodes by its address, by where its name resolves to, " \
  "or by the run id of whoever answers there. Several are several names of one node.") \
X(SELF_REQUIRES, "self-requires", CHOICE, 0, AT(self_requires), "majority", 0, 0, "majority|any", "WHAT", SELF, \
  "Whether a majority of the Sentinels must agree before /self/master, /self/replica, /self/ready and /nodes/... say 200.") \
X(HISTORY, "history", INTEGER, 0, AT(watch.history), "64", 1, 10000, NULL, "N", SERVING, \
  "Failovers that are kept for /failovers; they end with the process.") \
X(LISTEN, "listen", LISTEN, LIST, NOWHERE, "127.0.0.1:8380", 0, 0, NULL, "ADDRESS", SERVING, \
  "Where to serve HTTP: HOST:PORT or unix:PATH, then perhaps ,scope=all|discovery|probe (default all), for a " \
  "socket ,mode=0660, for HTTPS ,tls and with that ,client-ca=required|optional|off.") \
X(HTTP_CERT, "http-cert", FILE, 0, NOWHERE, NULL, 0, 0, NULL, "FILE", SERVING, \
  "The certificate of listeners and forwards with ,tls, in PEM, then the intermediate ones. Read again when it changes.") \
X(HTTP_KEY, "http-key", FILE, 0, NOWHERE, NULL, 0, 0, NULL, "FILE", SERVING, \
  "Its key, in PEM, without a pass phrase.") \
X(HTTP_CLIENT_CA, "http-client-ca", FILE, 0, NOWHERE, NULL, 0, 0, NULL, "FILE", SERVING, \
  "Who issues callers' certificates, in PEM: listeners and forwards with ,tls then ask for one and take nobody without " \
  "(client-ca=required), take those without, too (optional), or don't ask (off, as always with scope=probe).") \
X(WORKERS, "workers", INTEGER, 0, AT(workers), "1", 1, 64, NULL, "N", SERVING, \
  "Threads that answer HTTP.") \
X(READY_WHEN, "ready-when", CHOICE, 0, AT(ready_when), "resolved", 0, 0, "resolved|default|any|all", "WHEN", SERVING, \
  "What /readyz asks for: every master resolved once, or besides that the default one, any or all of them in service.") \
X(MAX_CONNECTIONS, "max-connections", INTEGER, 0, AT(max_connections), "2000", 1, 1000000, NULL, "N", SERVING, \
  "Callers' connections at once, over all workers; one more gets 503.") \
X(MAX_WAITERS, "max-waiters", INTEGER, 0, AT(max_waiters), "1000", 0, 1000000, NULL, "N", SERVING, \
  "Long polls and event streams at once, over all workers, beside max-connections; one more gets 503.") \
X(MAX_PER_CLIENT, "max-per-client", INTEGER, 0, AT(max_per_client), NULL, 0, 1000000, NULL, "N", SERVING, \
  "Connections of one client address at once, waiting ones included; one more gets 503. 0: no limit; without this, half of " \
  "max-connections and half of max-waiters. A /64 of IPv6 is one client; listeners on loopback and Unix sockets have no limit.") \
X(MAX_BODY, "max-body", SIZE, 0, AT(max_body_bytes), "10MiB", 0, GIB, NULL, "SIZE", SERVING, \
  "The largest request body that is taken.") \
X(MAX_MEMORY, "max-memory", SIZE, 0, AT(max_memory_bytes), "256MiB", KIB * KIB, 1024 * GIB, NULL, "SIZE", SERVING, \
  "How much memory request bodies, commands, replies and answers that are not read yet may take together, over all workers; a " \
  "command beyond it gets 503 and is not sent, a reply beyond it TOOBIG. Connections take some KiB each beside it.") \
X(IDLE_TIMEOUT, "idle-timeout", DURATION, 0, AT(idle_timeout_ms), "60s", SECOND_MS, 24 * HOUR_MS, NULL, "TIME", SERVING, \
  "After how long a silent connection is closed.") \
X(REQUEST_TIMEOUT, "request-timeout", DURATION, 0, AT(request_timeout_ms), "10s", 100, HOUR_MS, NULL, "TIME", SERVING, \
  "How long a request may take to arrive: its head, and then its body, unless that brings 1 KiB a second; then it gets 408. A " \
  "reader that takes less of a waiting answer for so long is cut off.") \
X(ALLOW_HOST, "allow-host", TEXT, LIST, NOWHERE, NULL, 0, 0, NULL, "NAME", SERVING, \
  "A name by which callers may address listeners on loopback; without it only IP addresses and localhost, since a page in a " \
  "browser of this host could lead there by any other.") \
X(ALLOW_ORIGIN, "allow-origin", TEXT, LIST, NOWHERE, NULL, 0, 0, NULL, "ORIGIN", SERVING, \
  "Whose pages may read what is found here, as a browser writes it (https://example.org), or *; never commands or probes.") \
X(SHUTDOWN_DELAY, "shutdown-delay", DURATION, 0, AT(shutdown_delay_ms), "0s", 0, HOUR_MS, NULL, "TIME", SERVING, \
  "How long serving goes on after SIGTERM, with /readyz at 503.") \
X(REDIS_API, "redis-api", CHOICE, 0, AT(redis_api), "off", 0, 0, "off|token|loopback", "WHO", COMMANDS, \
  "Run Redis commands for callers, under /redis: for those with a token, or for all on this host, where every listener with " \
  "scope=all has to be on a loopback address or a Unix socket.") \
X(TOKEN_FILE, "token-file", FILE, 0, NOWHERE, NULL, 0, 0, NULL, "FILE", COMMANDS, \
  "File with the token that callers send as Authorization: Bearer; one a line, two while it is rotated. Read again when it " \
  "changes.") \
X(READ_ONLY_TOKEN_FILE, "read-only-token-file", FILE, 0, NOWHERE, NULL, 0, 0, NULL, "FILE", COMMANDS, \
  "The same for a token that runs read-only commands only.") \
X(TOKEN, "token", SECRET, ENVIRONMENT_ONLY, NOWHERE, NULL, 0, 0, NULL, "TOKEN", COMMANDS, \
  "The token itself.") \
X(COMMANDS, "commands", TEXT, 0, NOWHERE, OPTIONS_DEFAULT_COMMANDS, 0, 0, NULL, "RULES", COMMANDS, \
  "Which commands callers may run, in the language of Redis ACLs; a later rule wins over an earlier one; default at the " \
  "beginning stands for the default rules. What changes or blocks the connection, which callers share, can't be allowed, nor " \
  "PUBLISH to Sentinels' channels. Rules don't hold within scripts: where those are allowed only a Redis ACL user's rights do.") \
X(POOL_SIZE, "pool-size", INTEGER, 0, AT(pool_size), "2", 1, 64, NULL, "N", COMMANDS, \
  "Connections of each worker to each node; callers share them.") \
X(COMMAND_TIMEOUT, "command-timeout", DURATION, 0, AT(command_timeout_ms), "5s", 10, 10 * MINUTE_MS, NULL, "TIME", COMMANDS, \
  "How long a request may take in all, the wait for a master included.") \
X(FENCE_TIMEOUT, "fence-timeout", DURATION, 0, AT(watch.fence_timeout_ms), "3s", 100, 10 * MINUTE_MS, NULL, "TIME", COMMANDS, \
  "How long a failover that goes on without news holds writes back before the chosen replica is asked whether it was promoted.") \
X(MAX_PENDING, "max-pending", INTEGER, 0, AT(max_pending), "1000", 0, 1000000, NULL, "N", COMMANDS, \
  "Requests that wait for a master at once, over all workers; one more gets 503.") \
X(MAX_REPLY, "max-reply", SIZE, 0, AT(max_reply_bytes), "64MiB", KIB, GIB, NULL, "SIZE", COMMANDS, \
  "The largest reply that is taken from Redis.") \
X(REPLICA_MAX_LAG, "replica-max-lag", SIZE, 0, AT(replica_max_lag_bytes), NULL, 0, 1024 * GIB, NULL, "SIZE", COMMANDS, \
  "How far a replica that commands run on may be behind the master, which is then asked every second; what is older than 2s is not known. None: any distance.") \
X(REPLICA_FALLBACK, "replica-fallback", CHOICE, 0, AT(replica_fallback), "none", 0, 0, "none|master", "WHERE", COMMANDS, \
  "Where commands for a replica run when no replica will do.") \
X(FORWARD, "forward", FORWARD, LIST, NOWHERE, NULL, 0, 0, NULL, "ADDRESS", FORWARDING, \
  "Where plain Redis clients are joined to the master, byte for byte: HOST:PORT or unix:PATH, then perhaps ,to=master|replica " \
  "(default master), ,name=MASTER (default: that of default-master), ,tls towards clients and with that ,client-ca=required|optional|off, " \
  "for a socket ,mode=0660, and, on loopback or a socket, ,auth, which logs clients in as redis-username.") \
X(MAX_FORWARDS, "max-forwards", INTEGER, 0, AT(max_forwards), "2000", 1, 1000000, NULL, "N", FORWARDING, \
  "Clients of forwards at once, over all workers; one more is told that there are too many.") \
X(LOG_LEVEL, "log-level", CHOICE, 0, AT(log_level), "info", 0, 0, "debug|info|warn|error", "LEVEL", LOGGING, \
  "The least important lines that are written to standard error.") \
X(LOG_FORMAT, "log-format", CHOICE, 0, AT(log_format), "logfmt", 0, 0, "logfmt|json", "FORMAT", LOGGING, \
  "How log lines look.") \
X(ONCE, "once", SWITCH, BARE, AT(once), "off", 0, 0, NULL, "on|off", ONCE, \
  "Print the master and exit: 0, or 3 with the reason when there is none in time. Serves nothing.") \
X(WAIT, "wait", DURATION, 0, AT(wait_ms), "0s", 0, 24 * HOUR_MS, NULL, "TIME", ONCE, \
  "With --once: how long to wait for a master, beyond what the time-outs allow anyway.") \
X(FORMAT, "format", CHOICE, 0, AT(format), "json", 0, 0, "json|text|url", "FORMAT", ONCE, \
  "With --once: the object of /master, host:port, or redis://host:port (rediss:// with redis-tls).") \
X(PROBE, "probe", TEXT, FLAG_ONLY, NOWHERE, NULL, 0, 0, NULL, "URL", PROBING, \
  "Ask a daemon that runs and exit: 0 when it answers with 2xx, else 1, and one line says why. http://HOST:PORT/PATH, the same " \
  "with https:// (whose certificate is not checked), or unix:SOCKET:/PATH; without a path /readyz. Needs no configuration, " \
  "and reads none.") \
X(PROBE_TIMEOUT, "probe-timeout", DURATION, FLAG_ONLY, AT(probe_timeout_ms), "2s", 10, 10 * MINUTE_MS, NULL, "TIME", PROBING, \
  "How long that may take in all. A kubelet gives an exec probe 1s, unless it is told timeoutSeconds.") \
X(CONFIG, "config", FILE, NOT_IN_FILE, NOWHERE, NULL, 0, 0, NULL, "FILE", CONFIGURING, \
  "An INI file: `name = value` lines, sections [bellwether] and [master NAME] (what differs for that one; the others are watched all the same).")

#define OPTION_GROUPS(X) \
X(FINDING, "Finding the master") \
X(VERIFYING, "Verifying it") \
X(CREDENTIALS, "Credentials (all but the two passwords also per master)") \
X(TLS, "TLS to Sentinels and Redis (all of these also per master)") \
X(SELF, "The node beside it") \
X(SERVING, "Serving") \
X(COMMANDS, "Commands") \
X(FORWARDING, "Forwarding") \
X(LOGGING, "Logging") \
X(ONCE, "Asking once") \
X(PROBING, "Probing (flags only)") \
X(CONFIGURING, "Configuring")

/* Flags that print something and exit: X(id, name, choices, prose). Without prose: hidden. */
#define OPTION_ACTIONS(X) \
X(PRINT_CONFIG, "print-config", SWITCH, BARE, NULL, "Print every option with its value and where that comes from, secrets masked, and exit.") \
X(CHECK_CONFIG, "check-config", SWITCH, BARE, NULL, "Read everything, say ok or what is wrong, and exit: 0 or 2.") \
X(COMPLETION, "completion", CHOICE, 0, "bash|zsh|fish", "Print what makes a shell complete these options and their values, and exit.") \
X(HELP, "help", SWITCH, BARE, NULL, "This.") \
X(VERSION, "version", SWITCH, BARE, NULL, "Print the versions of the daemon and of its libraries.") \
X(MAN_OPTIONS, "man-options", SWITCH, BARE, NULL, NULL)
/* clang-format on */

#define OPTIONS_DEFAULT_SENTINEL_PORT 26379
#define OPTIONS_DEFAULT_NODE_PORT 6379
#define OPTIONS_MASTER_NAME_SIZE 256 /* as in struct message_ask_fresh */

enum option_type {
    OPTION_SEED,
    OPTION_NODE,
    OPTION_NAME,
    OPTION_MAP,
    OPTION_LISTEN,
    OPTION_FORWARD,
    OPTION_TEXT,
    OPTION_FILE,
    OPTION_SECRET,
    OPTION_INTEGER,
    OPTION_DURATION,
    OPTION_SIZE,
    OPTION_SWITCH,
    OPTION_CHOICE,
};

enum option_property {
    OPTION_LIST = 1,             /* may be given more than once */
    OPTION_PER_MASTER = 2,       /* may stand in a [master NAME] section too */
    OPTION_BARE = 4,             /* as a flag it needs no value: it means on */
    OPTION_ENVIRONMENT_ONLY = 8, /* a secret */
    OPTION_NOT_IN_FILE = 16,
    OPTION_FLAG_ONLY = 32, /* no setting of a daemon that runs */
};

enum option_group {
#define X(id, title) OPTION_GROUP_##id,
    OPTION_GROUPS(X)
#undef X
};

enum option_id {
#define X(id, ...) OPTION_ID_##id,
    OPTIONS(X)
#undef X
        OPTION_COUNT
};

struct option_entry {
    const char *name;
    enum option_type type;
    unsigned properties;        /* enum option_property */
    size_t field;               /* offset in struct options */
#define OPTION_NOWHERE SIZE_MAX /* build.c makes it by hand */
    const char *fallback;
    int64_t min, max;
    const char *choices; /* separated by | */
    const char *value_name;
    enum option_group group;
    const char *prose;
};

enum option_action {
    ACTION_RUN,
#define X(id, ...) ACTION_##id,
    OPTION_ACTIONS(X)
#undef X
        ACTION_COUNT
};

extern const struct option_entry option_table[OPTION_COUNT];
/* A choice, or a switch that takes no value. [ACTION_RUN] stays empty. */
extern const struct option_entry option_actions[ACTION_COUNT];

/** The entry's id, or -1. @param length of `name`. */
int option_find(const char *name, size_t length);
/** The action of that name, or ACTION_RUN. */
enum option_action option_find_action(const char *name, size_t length);
/** The closest name when it is close, else NULL. @param flag whether actions are meant, too. */
const char *option_guess(const char *name, bool flag);
/** `BELLWETHER_POLL_INTERVAL`. @param out 64 bytes. @return out. */
const char *option_variable(const struct option_entry *entry, char out[64]);
/** "a time from 10ms to 1h, like 500ms, 1s or 5m". @param out 256 bytes. @return out. */
const char *option_takes(const struct option_entry *entry, char out[256]);

#endif
