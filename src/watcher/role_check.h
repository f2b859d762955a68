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
#include "bellwether/redis/node_reply.h"
#include "bellwether/topology/decide.h"

struct role_check;

/**
 * @param asked_us boot clock, microseconds: when the question was put; an answer proves nothing
 * about later. May free the role check.
 */
typedef void role_check_fn(void *data, struct role_check *role_check, enum role_answer answer,
                           int64_t asked_us, const char *words);

/** @param offsets borrowed; n is 0 and master_offset -1 where INFO is denied. */
typedef void role_check_offsets_fn(void *data, int64_t master_offset,
                                   const struct replica_offset *offsets, size_t n);

typedef void role_check_run_id_fn(void *data, struct role_check *role_check, const char *run_id);

/**
 * @param group of name look-ups. @param username,password borrowed; read at every connect.
 * @param tls borrowed; NULL: plain.
 */
struct role_check *role_check_new(struct loop *loop, unsigned group, const char *username,
                                  struct secret *password, struct redis_tls *tls,
                                  int64_t timeout_ms, role_check_fn *answered, void *data);
/** Connect (hanging up first) and ask. */
void role_check_open(struct role_check *role_check, const struct endpoint *node);
/**
 * Ask on the standing connection, opening it when it is down; nothing while a question is under
 * way.
 */
void role_check_ask(struct role_check *role_check);
/** Something was odd: the next question looks at whether it loads, too. */
void role_check_doubt(struct role_check *role_check);
/**
 * Ask INFO replication for the replicas' offsets; no call when the connection ends first. @return
 * whether it is there.
 */
bool role_check_ask_offsets(struct role_check *role_check, role_check_offsets_fn *got);
/**
 * Ask INFO server for the node's run id, once a connection; `got` is called with "" where it is
 * denied. Nothing when the connection is not there, or it was asked already.
 */
void role_check_ask_run_id(struct role_check *role_check, role_check_run_id_fn *got);
/**
 * Send one more command on the standing connection, answered as redis_conn_command() has it; NULL
 * at once when it is not there.
 */
void role_check_also(struct role_check *role_check, redis_reply_fn *done, void *data, int argc,
                     const char **argv);
const struct endpoint *role_check_node(const struct role_check *role_check);
/** Standing and idle or asking, and the last attempt ended in an answer by the node. */
bool role_check_is_connected(const struct role_check *role_check);
bool role_check_is_asking(const struct role_check *role_check);
/** Give the answers to somebody else from now on. */
void role_check_retarget(struct role_check *role_check, role_check_fn *answered, void *data);
void role_check_free(struct role_check *role_check);

#endif
