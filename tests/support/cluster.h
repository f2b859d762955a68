/*
 * redis-servers and redis-sentinels of a test: started quickly, broken on purpose, asked what they
 * think.
 */
#ifndef BELLWETHER_TESTS_SUPPORT_CLUSTER_H
#define BELLWETHER_TESTS_SUPPORT_CLUSTER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "process.h"

enum { CLUSTER_MAX = 8 };

/*
 * A down-after-milliseconds for tests in which nobody is to be called down: with a short one
 * Sentinels fail over by themselves where the machine lets a node wait for its turn.
 */
enum { CLUSTER_STEADY_MS = 60000 };

/* One redis-server or redis-sentinel. */
struct server {
    struct process *process;
    char *label; /* "node-0", "sentinel-2" */
    char *host;  /* where it listens and what it is called by the others */
    char *ip;    /* where the test reaches it; the same but for host names */
    uint16_t port;
    uint16_t listed_port; /* of a Sentinel: what the others list, where that is another one */
    bool tls;             /* `port` speaks TLS */
    char *address;        /* host:port, IPv6 in brackets */
    char *folder, *config;
    char *socket;   /* its Unix socket: reaches it in any network namespace */
    char *password; /* of the default user, NULL: none */
    char run_id[41];
    bool sentinel, frozen;
    pid_t netns_of;
};

/* Who speaks TLS. */
enum cluster_tls {
    CLUSTER_PLAIN,
    CLUSTER_TLS,           /* all, and nobody plain */
    CLUSTER_TLS_REDIS,     /* nodes only; what Sentinels list of each other is a port with TLS */
    CLUSTER_TLS_SENTINELS, /* Sentinels only; what they list of each other is a plain port */
};

struct cluster_spec {
    enum cluster_tls tls;
    const char *certificates; /* with TLS: a folder of certificates.h, whose `good` all show */
    bool client_certificates; /* asked for by all */
    size_t nodes, sentinels;  /* 0: three of each; NONE: none */
    const char *name;         /* NULL: mymaster */
    size_t quorum;            /* 0: a majority */
    int down_after_ms;        /* 0: 700; see server_down_after_ms() */
    int failover_timeout_ms;  /* 0: 3000 */
    const char *host;         /* NULL: 127.0.0.1 */
    bool hostnames;           /* announced and resolved as `localhost` */
    /* requirepass, masterauth, sentinel auth-pass */
    const char *node_password;
    const char *sentinel_password; /* requirepass and sentinel-pass */
    const char *node_conf;         /* more lines for redis.conf */
    const char *sentinel_conf;     /* more lines for sentinel.conf */
    /* array, or NULL: more lines, for each its own */
    const char *const *sentinel_confs;
    bool slow_pace;                                  /* leave Sentinel's own periods alone */
    const pid_t *node_netns, *sentinel_netns;        /* arrays, or NULL */
    const char *const *node_ip, *const *sentinel_ip; /* arrays, or NULL: `host` */
};

#define NONE SIZE_MAX

struct cluster {
    const char *name;
    size_t quorum;
    int down_after_ms, failover_timeout_ms;
    struct cluster_spec spec;
    const char *left; /* the master that cluster_failover() was to leave; NULL: left */
    int64_t left_ms;  /* when it was asked to */
    struct server nodes[CLUSTER_MAX];
    size_t n_nodes;
    struct server sentinels[CLUSTER_MAX];
    size_t n_sentinels;
};

/** For `certificates`: a folder in the test's own, with the usual ones. */
const char *cluster_certificates(void);
/** The path of a file in it. */
const char *cluster_certificate(const struct cluster *cluster, const char *name);
/** Have this node show NAME.crt of it from its next connection on. */
void cluster_show(const struct cluster *cluster, const struct server *node, const char *name);
/** Start it and wait until it is settled; node 0 is the master. */
struct cluster *cluster_start(const struct cluster_spec *spec);
/**
 * One node, and one Sentinel, which will not call it down for a minute.
 * @param conf more lines for redis.conf, or NULL.
 */
struct cluster *cluster_start_one(const char *conf);
/** Make the folder and port of a server, start nothing: for what comes later. */
struct cluster *cluster_prepare(const struct cluster_spec *spec);
void cluster_run(struct cluster *cluster);
/** One more node. @param master the node that it replicates, or NULL. */
struct server *cluster_add_node(struct cluster *cluster, const struct server *master);
/** Make every Sentinel monitor `node` as `name`. */
void cluster_monitor(struct cluster *cluster, const char *name, const struct server *node);
/**
 * Wait until every living Sentinel names the same living master, knows the others, and its replicas
 * are linked.
 */
void cluster_settle(struct cluster *cluster);
/** The node that every living Sentinel names, or NULL while they differ. */
struct server *cluster_master(struct cluster *cluster);
/** The one node that says master, or NULL while there is none, or another one. */
struct server *cluster_only_master(struct cluster *cluster);
/** This Sentinel's own down-after-milliseconds: they differ a little. */
int server_down_after_ms(const struct cluster *cluster, const struct server *sentinel);
/** SENTINEL FAILOVER through the first living Sentinel, asked again until it accepts. */
void cluster_failover(struct cluster *cluster);
/** The same, and cluster_wait_switch(). */
struct server *cluster_fail_over_from(struct cluster *cluster, const struct server *old);
/**
 * Whether Sentinels name `old` still, or differ. Where they have aborted what cluster_failover()
 * asked for, as they do when no replica was heard of lately, it is asked for again.
 */
bool cluster_is_before_switch(struct cluster *cluster, const struct server *old);
/** Wait until every living Sentinel names a node other than `old`. @return it. */
struct server *cluster_wait_switch(struct cluster *cluster, const struct server *old,
                                   int64_t bound_ms);

/** Node 0 asks for another password, of which the first Sentinel is told before. */
void cluster_change_password(struct cluster *cluster, const char *password);

void server_start(struct server *server);
void server_kill(struct server *server);
void server_freeze(struct server *server);
void server_thaw(struct server *server);
bool server_lives(struct server *server);

/** A command's reply, kept; NULL when the server can't be reached or doesn't answer within 2 s. */
redisReply *redis_ask(const struct server *server, const char *format, ...);
/**
 * The same as text: strings and integers as they are, arrays and maps joined by blanks; "" when
 * unreachable. Kept.
 */
char *redis_say(const struct server *server, const char *format, ...);
/** A field of a flat array or map reply, "" where it isn't. */
const char *reply_field(const redisReply *row, const char *field);
/** A number in INFO-like text after `key`, -1 where it isn't. */
long long info_number(const char *info, const char *key);
/** "host:port" that this Sentinel says, "" for none. */
char *sentinel_says(const struct server *sentinel, const char *name);
/** `host:port` with IPv6 in brackets. */
char *address_text(const char *host, unsigned port);

#endif
