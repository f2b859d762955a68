/*
 * What a node, a Redis server or a Sentinel, answers to HELLO, ROLE and INFO. Pure; every shape of
 * RESP2 and RESP3. Parsers return 0; -BW_ENIL for a nil reply; -BW_EPROTO for a shape that they do
 * not know (also an error reply); the output is untouched on failure. Thread: any.
 */
#ifndef BELLWETHER_REDIS_NODE_REPLY_H
#define BELLWETHER_REDIS_NODE_REPLY_H

#include "bellwether/base/address.h"
#include "bellwether/redis/reply_fields.h"

#define NODE_WORD_SIZE 64

/* What HELLO says. Texts are empty where absent. */
struct node_hello {
    char server[NODE_WORD_SIZE];
    char version[NODE_WORD_SIZE];
    char mode[NODE_WORD_SIZE]; /* standalone, sentinel, cluster */
    char role[NODE_WORD_SIZE]; /* master, replica; Sentinels have none or "sentinel" */
    int64_t proto;
};

struct replica_offset {
    struct address replica;
    int64_t offset;
};

int node_parse_hello(const redisReply *reply, struct node_hello *out);
/** The role in ROLE's reply: "master", "slave", "sentinel" -> copied word. */
int node_parse_role(const redisReply *reply, char out[NODE_WORD_SIZE]);
/** `role:master` in INFO replication's text. */
int node_parse_info_role(const redisReply *info, char out[NODE_WORD_SIZE]);
/** The value of `key:` in INFO's text, cut. @return false: it is not there, or `info` no text. */
bool node_info_field(const redisReply *info, const char *key, char *out, size_t size);
/**
 * Read `master_repl_offset:N` and lines like
 * `slave0:ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0` in INFO replication's text;
 * anything that is not understood is passed over.
 * @param out  an array to free() with the caller (NULL when empty), one entry an online replica.
 * @return the master's own offset, -1 where there is none.
 */
int64_t node_info_offsets(const redisReply *info, struct replica_offset **out, size_t *n_out);

#endif
