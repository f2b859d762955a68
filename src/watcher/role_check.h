/*
 * Asks one node for its role, again and again, over one standing connection.
 *
 * HELLO says it under most ACLs and while a script runs; where it has no role, ROLE is asked, then
 * INFO replication. Every attempt ends in exactly one answer through the hook; an end of the
 * connection is an answer too.
 */
#ifndef BELLWETHER_WATCHER_ROLE_CHECK_H
#define BELLWETHER_WATCHER_ROLE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/loop.h"
#include "bellwether/base/secret.h"
#include "bellwether/redis/connection.h"
#include "bellwether/topology/decide.h"
#include "offsets.h"

struct probe;

/**
 * @param asked_us boot clock, microseconds: when the question was put; an answer proves nothing
 * about later. May free the probe.
 */
typedef void probe_fn(void *data, struct probe *probe, enum role_answer answer, int64_t asked_us,
                      const char *words);

/** @param offsets borrowed; n is 0 and master_offset -1 where INFO is denied. */
typedef void probe_offsets_fn(void *data, int64_t master_offset,
                              const struct replica_offset *offsets, size_t n);

typedef void probe_run_id_fn(void *data, struct probe *probe, const char *run_id);

/** @param group of name look-ups. @param username,password borrowed; read at every connect. */
struct probe *probe_new(struct loop *loop, unsigned group, const char *username,
                        struct secret *password, int64_t timeout_ms, probe_fn *answered,
                        void *data);
/** Connect (hanging up first) and ask. */
void probe_open(struct probe *probe, const struct endpoint *node);
/**
 * Ask on the standing connection, opening it when it is down; nothing while a question is under
 * way.
 */
void probe_ask(struct probe *probe);
/** Something was odd: the next question looks at whether it loads, too. */
void probe_doubt(struct probe *probe);
/**
 * Ask INFO replication for the replicas' offsets; no call when the connection ends first. @return
 * whether it is there.
 */
bool probe_ask_offsets(struct probe *probe, probe_offsets_fn *got);
/**
 * Ask INFO server for the node's run id, once a connection; `got` is called with "" where it is
 * denied. Nothing when the connection is not there, or it was asked already.
 */
void probe_ask_run_id(struct probe *probe, probe_run_id_fn *got);
/**
 * Send one more command on the standing connection, answered as redis_conn_command() has it; NULL
 * at once when it is not there.
 */
void probe_also(struct probe *probe, redis_reply_fn *done, void *data, int argc, const char **argv);
/** The value of `key:` in INFO's text, up to the line's end; false where it is not there. */
bool probe_info_field(const redisReply *info, const char *key, char *out, size_t size);
const struct endpoint *probe_node(const struct probe *probe);
/** Standing and idle or asking, and the last attempt ended in an answer by the node. */
bool probe_is_connected(const struct probe *probe);
bool probe_is_asking(const struct probe *probe);
/** Give the answers to somebody else from now on. */
void probe_retarget(struct probe *probe, probe_fn *answered, void *data);
void probe_free(struct probe *probe);

#endif
