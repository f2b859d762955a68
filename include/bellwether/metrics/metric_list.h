/*
 * Every metric there is, once: its name, type, labels, buckets and help. The exposition, the
 * manual's table and the tests are held against this list. Names are a contract: added, never
 * renamed or removed.
 *
 * No label's values change at a failover, so that a series goes on through one; the address on
 * master_info and the reason on master_reason are the exceptions, and why there are those two.
 */
#ifndef BELLWETHER_METRICS_METRIC_LIST_H
#define BELLWETHER_METRICS_METRIC_LIST_H

/* id, name, type, labels in their order (comma-separated), buckets of a histogram, help */
#define METRICS(X) \
    X(BUILD_INFO, "bellwether_build_info", GAUGE, "version", NONE, \
      "1, labelled with the daemon's version.") \
    X(READY, "bellwether_ready", GAUGE, "", NONE, \
      "What /readyz would answer: 1 is 200, 0 is 503.") \
    X(MASTERS, "bellwether_masters", GAUGE, "state", NONE, \
      "Watched masters by the state that they are in.") \
    X(MASTER_UP, "bellwether_master_up", GAUGE, "master", NONE, \
      "What /masters/{name} would answer: 1 is 200, 0 is 503.") \
    X(MASTER_VERIFIED, "bellwether_master_verified", GAUGE, "master", NONE, \
      "Whether the node itself says that it is a master.") \
    X(MASTER_MAJORITY, "bellwether_master_majority", GAUGE, "master", NONE, \
      "Whether a majority of the known Sentinels named this address lately.") \
    X(MASTER_STATE, "bellwether_master_state", GAUGE, "master,state", NONE, \
      "1 for the state that the master is in, 0 for the others.") \
    X(MASTER_REASON, "bellwether_master_reason", GAUGE, "master,reason", NONE, \
      "1, labelled with the reason that /masters/{name} gives; absent where it gives none, without " \
      "a master's name where none is known.") \
    X(MASTER_INFO, "bellwether_master_info", GAUGE, "master,address", NONE, \
      "1, labelled with the address that is published or was last.") \
    X(MASTER_CONFIG_EPOCH, "bellwether_master_config_epoch", GAUGE, "master", NONE, \
      "Config epoch under which the address was published.") \
    X(MASTER_LAST_VERIFIED, "bellwether_master_last_verified_timestamp_seconds", GAUGE, "master", \
      NONE, \
      "When the published node last said that it is a master; absent before the first time.") \
    X(MASTER_LAST_SWITCH, "bellwether_master_last_switch_timestamp_seconds", GAUGE, "master", \
      NONE, "When the published address last changed; absent before the first time.") \
    X(MASTER_SWITCHES, "bellwether_master_switches_total", COUNTER, "master", NONE, \
      "Changes of the published address.") \
    X(MASTER_RESTARTS, "bellwether_master_restarts_total", COUNTER, "master", NONE, \
      "Restarts of the published node: another run id at the same address.") \
    X(FAILOVERS, "bellwether_failovers_total", COUNTER, "master,outcome,kind", NONE, \
      "Failovers that came to an end.") \
    X(ADOPTIONS, "bellwether_adoptions_total", COUNTER, "master,outcome", NONE, \
      "New masters believed before their announcement (--adopt promoted), by what became of it.") \
    X(FAILOVER_DURATION, "bellwether_failover_duration_seconds", HISTOGRAM, "master", FAILOVER, \
      "From the first sign of a failover to its end, where it switched.") \
    X(UNAVAILABLE, "bellwether_unavailable_seconds", HISTOGRAM, "master", FAILOVER, \
      "From the last good role check of a master to its return or the publication of another.") \
    X(LAST_FAILOVER, "bellwether_last_failover_timestamp_seconds", GAUGE, "master", NONE, \
      "When the newest failover in /failovers began, one under way included; absent before the " \
      "first.") \
    X(LAST_FAILOVER_PHASE, "bellwether_last_failover_phase_seconds", GAUGE, "master,phase", NONE, \
      "When each of its phases came, from the first on.") \
    X(VERIFY_DURATION, "bellwether_verify_duration_seconds", HISTOGRAM, "master", VERIFY, \
      "How long nodes took to say their role, connecting included, where they said one.") \
    X(REPLICAS, "bellwether_replicas", GAUGE, "master,status", NONE, \
      "Listed replicas: healthy, unhealthy, and those that a Sentinel could promote.") \
    X(REPLICA_LAG_MAX, "bellwether_replica_lag_bytes_max", GAUGE, "master", NONE, \
      "The largest lag of a healthy replica; absent where none is known.") \
    X(SENTINELS_CONFIGURED, "bellwether_sentinels_configured", GAUGE, "", NONE, \
      "Sentinels that --sentinel names.") \
    X(SENTINELS_UNREACHABLE, "bellwether_sentinels_unreachable", GAUGE, "", NONE, \
      "Configured and learned Sentinels whose link is not up.") \
    X(SENTINELS_KNOWN, "bellwether_sentinels_known", GAUGE, "master", NONE, \
      "Sentinels that are known for the master.") \
    X(SENTINELS_REACHABLE, "bellwether_sentinels_reachable", GAUGE, "master", NONE, \
      "Those whose link is up.") \
    X(SENTINELS_AGREEING, "bellwether_sentinels_agreeing", GAUGE, "master", NONE, \
      "Those that name the published address.") \
    X(FOREIGN_SENTINELS, "bellwether_foreign_sentinels", GAUGE, "master", NONE, \
      "Sentinels that answer for another deployment's master of this name; they are not counted.") \
    X(SENTINEL_CKQUORUM, "bellwether_sentinel_ckquorum_ok", GAUGE, "master", NONE, \
      "0 when a reachable Sentinel says that a failover would have no quorum; absent where none says.") \
    X(SENTINEL_CONNECTED, "bellwether_sentinel_connected", GAUGE, "sentinel", NONE, \
      "Whether the link to the Sentinel is up.") \
    X(SENTINEL_TILT, "bellwether_sentinel_tilt", GAUGE, "sentinel", NONE, \
      "Whether the Sentinel is in TILT, as far as it said so.") \
    X(SENTINEL_EVENTS, "bellwether_sentinel_events_total", COUNTER, "event", NONE, \
      "Events that the Sentinels sent, each Sentinel's counted.") \
    X(SENTINEL_RECONNECTS, "bellwether_sentinel_reconnects_total", COUNTER, "sentinel", NONE, \
      "How often the link came up again after it was lost.") \
    X(SENTINEL_ERRORS, "bellwether_sentinel_errors_total", COUNTER, "sentinel,reason", NONE, \
      "Lost links, failed attempts to connect, and answers that could not be used.") \
    X(HTTP_REQUESTS, "bellwether_http_requests_total", COUNTER, "route,method,code", NONE, \
      "Requests that were answered.") \
    X(HTTP_DURATION, "bellwether_http_request_duration_seconds", HISTOGRAM, "route", HTTP, \
      "Time spent on a request, without what it was asked to wait for a change.") \
    X(HTTP_INFLIGHT, "bellwether_http_inflight", GAUGE, "", NONE, \
      "Requests under way, waiting ones and streams included.") \
    X(HTTP_WAITERS, "bellwether_http_waiters", GAUGE, "kind", NONE, \
      "Requests that wait for a change, and open event streams.") \
    X(HTTP_REJECTED, "bellwether_http_rejected_total", COUNTER, "reason", NONE, \
      "Requests that were refused because of a limit.") \
    X(MEMORY, "bellwether_memory_bytes", GAUGE, "", NONE, \
      "Memory that bodies, commands, replies and answers take now; --max-memory bounds it.") \
    X(STREAMS_CUT, "bellwether_streams_cut_total", COUNTER, "", NONE, \
      "Event streams that were cut off because their reader was too slow.") \
    X(POOL_CONNECTIONS, "bellwether_pool_connections", GAUGE, "state", NONE, \
      "Connections to masters and replicas that commands run on.") \
    X(POOL_WAITING, "bellwether_pool_waiting", GAUGE, "", NONE, \
      "Requests with commands that wait for a master, a connection or the end of a fence.") \
    X(POOL_INFLIGHT, "bellwether_pool_inflight", GAUGE, "", NONE, \
      "Commands sent and not answered yet.") \
    X(COMMANDS, "bellwether_commands_total", COUNTER, "outcome", NONE, \
      "Commands by what became of them.") \
    X(COMMAND_DURATION, "bellwether_command_duration_seconds", HISTOGRAM, "", COMMAND, \
      "From a request's arrival to the outcome of all its commands, waiting included.") \
    X(COMMAND_RETRIES, "bellwether_command_retries_total", COUNTER, "reason", NONE, \
      "Commands that were run again, by why.") \
    X(FENCE_HOLDS, "bellwether_fence_holds_total", COUNTER, "", NONE, \
      "Requests whose writes were held back while a failover promoted a replica.") \
    X(FENCE_SECONDS, "bellwether_fence_seconds", HISTOGRAM, "", FAILOVER, \
      "How long they were held back.") \
    X(POLICY_REFUSALS, "bellwether_policy_refusals_total", COUNTER, "", NONE, \
      "Commands that the policy, or a read-only token, did not let run.") \
    X(FORWARD_CONNECTIONS, "bellwether_forward_connections", GAUGE, "to", NONE, \
      "Clients that are joined to a master or to a replica.") \
    X(FORWARD_WAITING, "bellwether_forward_waiting", GAUGE, "", NONE, \
      "Clients of forwards that are not joined to a node yet.") \
    X(FORWARD_HANDSHAKES, "bellwether_forward_handshakes", GAUGE, "", NONE, \
      "Clients of forwards with TLS whose handshake is not done: they take no place yet.") \
    X(FORWARD_BYTES, "bellwether_forward_bytes_total", COUNTER, "direction", NONE, \
      "Bytes that forwards have passed on, to Redis (in) and to clients (out).") \
    X(FORWARD_CLOSED, "bellwether_forward_closed_total", COUNTER, "reason", NONE, \
      "Connections of forwards that have ended, by why.") \
    X(RELOAD_SUCCESS, "bellwether_reload_success", GAUGE, "", NONE, \
      "Whether the files of credentials and certificates could be used the last time.") \
    X(RELOAD_TIMESTAMP, "bellwether_reload_timestamp_seconds", GAUGE, "", NONE, \
      "When credentials and certificates were last taken in: at the start, on SIGHUP, on a change.") \
    X(CERTIFICATE_EXPIRY, "bellwether_certificate_expiry_timestamp_seconds", GAUGE, "which", NONE, \
      "When a certificate in use ends; of several the first.") \
    X(PROCESS_CPU, "process_cpu_seconds_total", COUNTER, "", NONE, \
      "User and system CPU time spent.") \
    X(PROCESS_OPEN_FDS, "process_open_fds", GAUGE, "", NONE, "Open file descriptors.") \
    X(PROCESS_MAX_FDS, "process_max_fds", GAUGE, "", NONE, \
      "Most file descriptors that may be open.") \
    X(PROCESS_VIRTUAL, "process_virtual_memory_bytes", GAUGE, "", NONE, "Virtual memory size.") \
    X(PROCESS_RESIDENT, "process_resident_memory_bytes", GAUGE, "", NONE, "Resident memory size.") \
    X(PROCESS_START, "process_start_time_seconds", GAUGE, "", NONE, "When the process started.")

enum metric {
#define X(id, name, type, labels, buckets, help) METRIC_##id,
    METRICS(X)
#undef X
        METRICS_COUNT
};

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* The upper bounds of buckets: microseconds, and the seconds that `le` says. */
#define METRIC_BUCKETS_NONE(X)
#define METRIC_BUCKETS_FAILOVER(X) \
    X(100000, "0.1") \
    X(250000, "0.25") \
    X(500000, "0.5") \
    X(1000000, "1") \
    X(2000000, "2") \
    X(3000000, "3") \
    X(5000000, "5") \
    X(10000000, "10") \
    X(20000000, "20") \
    X(30000000, "30") \
    X(60000000, "60") \
    X(120000000, "120") \
    X(300000000, "300")
#define METRIC_BUCKETS_VERIFY(X) \
    X(250, "0.00025") \
    X(500, "0.0005") \
    X(1000, "0.001") \
    X(2500, "0.0025") \
    X(5000, "0.005") \
    X(10000, "0.01") \
    X(25000, "0.025") \
    X(50000, "0.05") \
    X(100000, "0.1") \
    X(250000, "0.25") \
    X(500000, "0.5") \
    X(1000000, "1")
#define METRIC_BUCKETS_HTTP(X) \
    X(25, "0.000025") \
    X(100, "0.0001") \
    X(250, "0.00025") \
    X(1000, "0.001") \
    X(2500, "0.0025") \
    X(10000, "0.01") \
    X(50000, "0.05") \
    X(250000, "0.25") \
    X(1000000, "1") \
    X(5000000, "5")

#define METRIC_BUCKETS_COMMAND(X) \
    X(100, "0.0001") \
    X(250, "0.00025") \
    X(500, "0.0005") \
    X(1000, "0.001") \
    X(2500, "0.0025") \
    X(5000, "0.005") \
    X(10000, "0.01") \
    X(50000, "0.05") \
    X(250000, "0.25") \
    X(1000000, "1") \
    X(2500000, "2.5") \
    X(5000000, "5")

/* The values of labels that are a fixed list. */
#define METRIC_METHODS(X) \
    X(GET, "GET") \
    X(HEAD, "HEAD") \
    X(POST, "POST") \
    X(PUT, "PUT") \
    X(OPTIONS, "OPTIONS") \
    X(OTHER, "other")

/* Status codes that the daemon answers with; the last stands for any other. */
#define METRIC_CODES(X) \
    X(200, "200") \
    X(204, "204") \
    X(304, "304") \
    X(400, "400") \
    X(401, "401") \
    X(403, "403") \
    X(404, "404") \
    X(405, "405") \
    X(409, "409") \
    X(413, "413") \
    X(500, "500") \
    X(502, "502") \
    X(503, "503") \
    X(504, "504") \
    X(0, "other")

#define METRIC_WAITERS(X) \
    X(POLL, "poll") \
    X(STREAM, "stream") \
    X(SUBSCRIPTION, "subscription")

#define METRIC_REJECTIONS(X) \
    X(CONNECTIONS, "connections") \
    X(WAITERS, "waiters") \
    X(COMMANDS, "commands") \
    X(BODY, "body") \
    X(PER_CLIENT, "per_client") \
    X(DESCRIPTORS, "descriptors") \
    X(WATCHES, "watches") \
    X(PROTOCOL, "protocol") \
    X(HANDSHAKE, "handshake") \
    X(REQUEST_TIMEOUT, "request_timeout") \
    X(SLOW_READER, "slow_reader") \
    X(MEMORY, "memory")

/*
 * Why a Sentinel's link or answer was of no use; the words are those of `error.code` in /sentinels.
 */
#define METRIC_SENTINEL_ERRORS(X) \
    X(UNREACHABLE, "unreachable") \
    X(AUTH, "sentinel_auth") \
    X(TLS, "sentinel_tls") \
    X(DENIED, "sentinel_denied") \
    X(NOT_A_SENTINEL, "not_a_sentinel") \
    X(TOO_OLD, "too_old") \
    X(UNKNOWN_NAME, "unknown_name") \
    X(BAD_ADDRESS, "bad_address") \
    X(BAD_REPLY, "bad_reply") \
    X(LOOPBACK, "loopback") \
    X(UNDIALABLE, "undialable") \
    X(OTHER, "other")

/* How failovers end and what kinds there are; the words are those of /failovers. */
#define METRIC_OUTCOMES(X) \
    X(SWITCHED, "switched") \
    X(ABORTED, "aborted") \
    X(NOT_STARTED, "not_started") \
    X(RECOVERED, "recovered")
#define METRIC_KINDS(X) \
    X(UNKNOWN, "unknown") \
    X(CRASH, "crash") \
    X(MANUAL, "manual")

/* Of the connections that commands run on. */
#define METRIC_POOL_STATES(X) \
    X(CONNECTING, "connecting") \
    X(IDLE, "idle") \
    X(BUSY, "busy")

/* Why a client of a forward is with it no longer. */
#define METRIC_FORWARD_ENDS(X) \
    X(CLIENT, "client") \
    X(SERVER, "server") \
    X(SWITCH, "switch") \
    X(PROMOTION, "promotion") \
    X(UNHEALTHY, "unhealthy") \
    X(NO_NODE, "no_node") \
    X(AUTH, "auth") \
    X(TLS, "tls") \
    X(LIMIT, "limit") \
    X(SHUTDOWN, "shutdown")

#define METRIC_FORWARD_TOS(X) \
    X(MASTER, "master") \
    X(REPLICA, "replica")

#define METRIC_FORWARD_WAYS(X) \
    X(IN, "in") \
    X(OUT, "out")

/* What becomes of a command. */
#define METRIC_COMMAND_OUTCOMES(X) \
    X(DONE, "done") \
    X(ERROR, "error") \
    X(DENIED, "denied") \
    X(BAD, "bad") \
    X(NOT_SENT, "not_sent") \
    X(UNKNOWN, "unknown") \
    X(TOO_BIG, "too_big")

/* Why a command was run again. */
#define METRIC_RETRIES(X) \
    X(UNWRITTEN, "unwritten") \
    X(READ_ONLY, "readonly") \
    X(LOADING, "loading") \
    X(MASTERDOWN, "masterdown") \
    X(EXECABORT, "execabort") \
    X(LOST_READ, "lost_read") \
    X(ASKED_FOR, "retry_always") \
    X(IN_ORDER, "order") \
    X(NEXT_REPLICA, "next_replica")

/*
 * Whose end the watcher knows: what we show to Sentinels and to Redis, and what they showed last.
 * Listeners have their own (routes/metrics.c).
 */
#define METRIC_CERTIFICATES(X) \
    X(SENTINEL, "sentinel") \
    X(SENTINEL_SERVER, "sentinel-server") \
    X(REDIS, "redis") \
    X(REDIS_SERVER, "redis-server")

/* Of an adoption: the Sentinels announced what was adopted, or it had to make way again. */
#define METRIC_ADOPTIONS(X) \
    X(KEPT, "kept") \
    X(UNDONE, "undone")

#define METRIC_ENUM(name, prefix, list) enum name { list(METRIC_ENUM_##prefix) prefix##_COUNT }
#define METRIC_ENUM_METRIC_METHOD(id, text) METRIC_METHOD_##id,
#define METRIC_ENUM_METRIC_CODE(id, text) METRIC_CODE_##id,
#define METRIC_ENUM_METRIC_WAITER(id, text) METRIC_WAITER_##id,
#define METRIC_ENUM_METRIC_REJECTION(id, text) METRIC_REJECTION_##id,
#define METRIC_ENUM_METRIC_SENTINEL_ERROR(id, text) METRIC_SENTINEL_ERROR_##id,
#define METRIC_ENUM_METRIC_OUTCOME(id, text) METRIC_OUTCOME_##id,
#define METRIC_ENUM_METRIC_KIND(id, text) METRIC_KIND_##id,
#define METRIC_ENUM_METRIC_POOL_STATE(id, text) METRIC_POOL_STATE_##id,
#define METRIC_ENUM_METRIC_COMMAND_OUTCOME(id, text) METRIC_COMMAND_OUTCOME_##id,
#define METRIC_ENUM_METRIC_RETRY(id, text) METRIC_RETRY_##id,
#define METRIC_ENUM_METRIC_ADOPTION(id, text) METRIC_ADOPTION_##id,
#define METRIC_ENUM_METRIC_FORWARD_END(id, text) METRIC_FORWARD_END_##id,
#define METRIC_ENUM_METRIC_FORWARD_TO(id, text) METRIC_FORWARD_TO_##id,
#define METRIC_ENUM_METRIC_FORWARD_WAY(id, text) METRIC_FORWARD_WAY_##id,
#define METRIC_ENUM_METRIC_CERTIFICATE(id, text) METRIC_CERTIFICATE_##id,

METRIC_ENUM(metric_method, METRIC_METHOD, METRIC_METHODS);
METRIC_ENUM(metric_code, METRIC_CODE, METRIC_CODES);
METRIC_ENUM(metric_waiter, METRIC_WAITER, METRIC_WAITERS);
METRIC_ENUM(metric_rejection, METRIC_REJECTION, METRIC_REJECTIONS);
METRIC_ENUM(metric_sentinel_error, METRIC_SENTINEL_ERROR, METRIC_SENTINEL_ERRORS);
METRIC_ENUM(metric_outcome, METRIC_OUTCOME, METRIC_OUTCOMES);
METRIC_ENUM(metric_kind, METRIC_KIND, METRIC_KINDS);
METRIC_ENUM(metric_pool_state, METRIC_POOL_STATE, METRIC_POOL_STATES);
METRIC_ENUM(metric_command_outcome, METRIC_COMMAND_OUTCOME, METRIC_COMMAND_OUTCOMES);
METRIC_ENUM(metric_retry, METRIC_RETRY, METRIC_RETRIES);
METRIC_ENUM(metric_adoption, METRIC_ADOPTION, METRIC_ADOPTIONS);
METRIC_ENUM(metric_certificate, METRIC_CERTIFICATE, METRIC_CERTIFICATES);
METRIC_ENUM(metric_forward_end, METRIC_FORWARD_END, METRIC_FORWARD_ENDS);
METRIC_ENUM(metric_forward_to, METRIC_FORWARD_TO, METRIC_FORWARD_TOS);
METRIC_ENUM(metric_forward_way, METRIC_FORWARD_WAY, METRIC_FORWARD_WAYS);

#endif
