/*
 * The static table of routes, and matching a raw path against it. Pure.
 *
 * A raw path is split on `/` first and percent-decoded segment by segment, so `%2F` stays inside
 * its segment and `..` is a name like any other. Matching is exact. A pattern that ends with
 * `{command}/{argument…}` or `{channel…}` stands for one segment or more, which are handed on as
 * they came (commands/batch.h decodes them); before `{channel…}` stands a command's name, which
 * ignores case, and that there is no channel is for its handler to say. Of the routes that run
 * commands a slash behind `redis` may be there twice, as of a URL that ends with one, and a last
 * one is ignored; any other empty segment is an empty argument.
 */
#ifndef BELLWETHER_HTTP_ROUTER_H
#define BELLWETHER_HTTP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "bellwether/http/query.h"
#include "bellwether/http/worker.h"

/* Sets of methods. HEAD works wherever GET does, OPTIONS everywhere. */
enum {
    HTTP_GET = 1,
    HTTP_HEAD = 2,
    HTTP_OPTIONS = 4,
    HTTP_OTHER = 8,
    HTTP_ALIKE = 16,
    HTTP_POST = 32,
    HTTP_PUT = 64,
};
#define METHODS_READ (HTTP_GET | HTTP_HEAD | HTTP_OPTIONS)
#define METHODS_BODY (HTTP_POST | HTTP_PUT) /* the same thing, wherever there is one of them */
#define METHODS_POST (METHODS_BODY | HTTP_OPTIONS)
#define METHODS_ALIKE (METHODS_READ | HTTP_ALIKE) /* OPTIONS answers as GET does */

/* Sets of scopes: on which listeners a route exists. */
#define SCOPE_BIT(scope) (1U << (scope))
#define SCOPES_PROBE \
    (SCOPE_BIT(HTTP_SCOPE_ALL) | SCOPE_BIT(HTTP_SCOPE_DISCOVERY) | SCOPE_BIT(HTTP_SCOPE_PROBE))
#define SCOPES_DISCOVERY (SCOPE_BIT(HTTP_SCOPE_ALL) | SCOPE_BIT(HTTP_SCOPE_DISCOVERY))
#define SCOPES_COMMANDS SCOPE_BIT(HTTP_SCOPE_ALL)

#define QUERY_MASTER (QUERY_FORM | QUERY_STALE | QUERY_FRESH | QUERY_REQUIRE | QUERY_WAIT)
#define QUERY_REPLICA (QUERY_FORM | QUERY_MAX_LAG | QUERY_FALLBACK)
#define QUERY_NODE (QUERY_FORM | QUERY_OF_MASTER)
#define QUERY_READY (QUERY_FORM | QUERY_VERBOSE | QUERY_EXCLUDE | QUERY_OF_MASTER)

/* The routes that run commands, below one place: X, their ids, the place, whose commands. */
#define ROUTES_COMMANDS(X, one, pipeline, multi, path, place, whose) \
    X(one, place "/redis", METHODS_POST, SCOPES_COMMANDS, 0, NULL, "a command " whose) \
    X(pipeline, place "/redis/pipeline", METHODS_POST, SCOPES_COMMANDS, 0, NULL, \
      "several commands " whose ", one after the other") \
    X(multi, place "/redis/multi-exec", METHODS_POST, SCOPES_COMMANDS, 0, NULL, \
      "a transaction " whose) \
    X(path, place "/redis" ROUTE_REST, METHODS_READ | METHODS_BODY, SCOPES_COMMANDS, 0, NULL, \
      "a command " whose ", written as a path")
#define ROUTE_REST "/{command}/{argument…}"

/*
 * The streams of channels and patterns, below one place: before ROUTES_COMMANDS, whose paths they
 * are.
 */
#define ROUTES_SUBSCRIPTIONS(X, channels, patterns, place, whose) \
    X(channels, place "/redis/subscribe" ROUTE_NAMES, METHODS_READ | METHODS_BODY, \
      SCOPES_COMMANDS, 0, NULL, "what is published to channels " whose ", as server-sent events") \
    X(patterns, place "/redis/psubscribe" ROUTE_NAMES, METHODS_READ | METHODS_BODY, \
      SCOPES_COMMANDS, 0, NULL, \
      "what is published to channels that fit patterns " whose ", as server-sent events")
#define ROUTE_NAMES "/{channel…}"

/*
 * The only list of routes: id, path, methods, scopes, query parameters it looks at, handler
 * (http/routes/table.h; NULL: it runs commands), what it is for.
 */
#define ROUTES(X) \
    X(INDEX, "/", METHODS_READ, SCOPES_DISCOVERY, QUERY_PRETTY, meta_handle_index, \
      "this list; to browsers the status page") \
    X(MASTER, "/master", METHODS_READ, SCOPES_DISCOVERY, QUERY_MASTER, masters_handle_one, \
      "the default master") \
    X(MASTERS, "/masters", METHODS_READ, SCOPES_DISCOVERY, QUERY_FORM, masters_handle_list, \
      "every watched master") \
    X(NAMED_MASTER, "/masters/{name}", METHODS_READ, SCOPES_DISCOVERY, QUERY_MASTER, \
      masters_handle_one, "one master") \
    X(REPLICAS, "/replicas", METHODS_READ, SCOPES_DISCOVERY, QUERY_FORM, replicas_handle_list, \
      "the default master's replicas") \
    X(NAMED_REPLICAS, "/masters/{name}/replicas", METHODS_READ, SCOPES_DISCOVERY, QUERY_FORM, \
      replicas_handle_list, "a master's replicas") \
    X(REPLICA, "/replica", METHODS_READ, SCOPES_DISCOVERY, QUERY_REPLICA, replicas_handle_one, \
      "one healthy replica in turn") \
    X(NAMED_REPLICA, "/masters/{name}/replica", METHODS_READ, SCOPES_DISCOVERY, QUERY_REPLICA, \
      replicas_handle_one, "one healthy replica of a master in turn") \
    X(SENTINELS, "/sentinels", METHODS_READ, SCOPES_DISCOVERY, QUERY_FORM, sentinels_handle, \
      "what each Sentinel says about the default master") \
    X(NAMED_SENTINELS, "/masters/{name}/sentinels", METHODS_READ, SCOPES_DISCOVERY, QUERY_FORM, \
      sentinels_handle, "what each Sentinel says about a master") \
    X(EVENTS, "/events", METHODS_READ, SCOPES_DISCOVERY, QUERY_OF_MASTER, events_handle, \
      "changes of masters and what the Sentinels say, as server-sent events") \
    X(LIVEZ, "/livez", METHODS_READ, SCOPES_PROBE, QUERY_FORM, health_handle_live, \
      "200 while the daemon's threads turn") \
    X(HEALTHZ, "/healthz", METHODS_READ, SCOPES_PROBE, QUERY_FORM, health_handle_live, \
      "the same as /livez") \
    X(READYZ, "/readyz", METHODS_READ, SCOPES_PROBE, QUERY_READY, health_handle_ready, \
      "200 while the daemon can answer") \
    X(READYZ_CHECK, "/readyz/{check}", METHODS_READ, SCOPES_PROBE, QUERY_READY, \
      health_handle_check, "one check of /readyz") \
    X(FAILOVERS, "/failovers", METHODS_READ, SCOPES_DISCOVERY, \
      QUERY_FORM | QUERY_OF_MASTER | QUERY_LIMIT, failovers_handle, \
      "what became of each failover, phase by phase, newest first") \
    X(METRICS, "/metrics", METHODS_READ, SCOPES_PROBE, 0, metrics_handle, \
      "figures for Prometheus") \
    X(STATUS, "/status", METHODS_READ, SCOPES_DISCOVERY, QUERY_FORM, status_handle, \
      "all that the daemon knows, and why") \
    X(SELF, "/self", METHODS_READ, SCOPES_PROBE, QUERY_FORM, self_handle, \
      "what the node named by --self is") \
    X(SELF_MASTER, "/self/master", METHODS_ALIKE, SCOPES_PROBE, QUERY_FORM, self_handle_master, \
      "200 when it is the master") \
    X(SELF_REPLICA, "/self/replica", METHODS_ALIKE, SCOPES_PROBE, QUERY_FORM | QUERY_MAX_LAG, \
      self_handle_replica, "200 when it is a replica") \
    X(SELF_READY, "/self/ready", METHODS_ALIKE, SCOPES_PROBE, QUERY_FORM | QUERY_MAX_LAG, \
      self_handle_ready, "200 when it is the master or a replica with its link up") \
    X(NODE_MASTER, "/nodes/{host:port}/master", METHODS_ALIKE, SCOPES_PROBE, QUERY_NODE, \
      nodes_handle_master, "200 when that node is the master") \
    X(NODE_REPLICA, "/nodes/{host:port}/replica", METHODS_ALIKE, SCOPES_PROBE, \
      QUERY_NODE | QUERY_MAX_LAG, nodes_handle_replica, "200 when that node is a healthy replica") \
    X(VERSION, "/version", METHODS_READ, SCOPES_PROBE, QUERY_PRETTY, meta_handle_version, \
      "versions of the daemon and libraries") \
    X(OPENAPI, "/openapi.yaml", METHODS_READ, SCOPES_DISCOVERY, 0, meta_handle_openapi, \
      "this interface in OpenAPI 3.1") \
    ROUTES_SUBSCRIPTIONS(X, SUBSCRIBE, PSUBSCRIBE, "", "on the default master") \
    ROUTES_SUBSCRIPTIONS(X, NAMED_SUBSCRIBE, NAMED_PSUBSCRIBE, "/masters/{name}", "on one master") \
    ROUTES_COMMANDS(X, REDIS, REDIS_PIPELINE, REDIS_MULTI, REDIS_PATH, "", \
                    "on the default master") \
    ROUTES_COMMANDS(X, NAMED_REDIS, NAMED_REDIS_PIPELINE, NAMED_REDIS_MULTI, NAMED_REDIS_PATH, \
                    "/masters/{name}", "on one master") \
    ROUTES_COMMANDS(X, REPLICA_REDIS, REPLICA_REDIS_PIPELINE, REPLICA_REDIS_MULTI, \
                    REPLICA_REDIS_PATH, "/replica", "on a healthy replica") \
    ROUTES_COMMANDS(X, NAMED_REPLICA_REDIS, NAMED_REPLICA_REDIS_PIPELINE, \
                    NAMED_REPLICA_REDIS_MULTI, NAMED_REPLICA_REDIS_PATH, \
                    "/masters/{name}/replica", "on a healthy replica of a master")

enum route_id {
#define X(id, path, methods, scopes, parameters, handler, about) ROUTE_##id,
    ROUTES(X)
#undef X
        ROUTES_COUNT
};

struct route {
    enum route_id id;
    /* as in the table: at most one `{...}` segment, and perhaps a rest (route_rest()) at its end */
    const char *path;
    unsigned methods, scopes, parameters;
    const char *about;
};

#define ROUTE_ARGUMENT_SIZE 256

struct route_match {
    const struct route *route;
    /* what stands for `{...}`, decoded; "" where the route has none */
    char argument[ROUTE_ARGUMENT_SIZE];
    /* what stands for the rest, raw; borrowed from the path; NULL where the route has none */
    const char *rest;
};

/**
 * Whether this end of a pattern stands for the rest of a path: ROUTE_REST or ROUTE_NAMES. Thread:
 * any.
 */
bool route_is_rest(const char *pattern);
/** The table's row. Static. Thread: any. */
const struct route *router_row(enum route_id id);

/**
 * Find the route of a raw path (without the query).
 *
 * @param path  borrowed; also the absolute form `http://host/path`.
 * @param out   set on success, untouched on failure.
 * @return 0; -BW_ENOENT no such route in this scope; -BW_EINVAL a bad percent-escape or a NUL.
 * Thread:  any.
 */
int router_match(const char *path, enum http_scope scope, struct route_match *out);

/** Whether it is one of the routes that run commands. Thread: any. */
bool route_runs_commands(const struct route *route);

/** The bit of a method by its name; HTTP_OTHER for one that is nowhere. Thread: any. */
unsigned router_method(const char *method);

/** The value of `Allow` for a set of methods: "GET, HEAD, OPTIONS". Static. Thread: any. */
const char *router_allow(unsigned methods);

#endif
