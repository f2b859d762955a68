/*
 * What Sentinels answer: a reply in, a struct out. No I/O, nothing kept, every shape of RESP2 and
 * RESP3 (maps, flat arrays), garbage refused. Fields are found by name, unknown ones ignored.
 *
 * Parsers return 0; -BW_ENIL for a nil reply; -BW_EPROTO for a shape they do not know (also an
 * error reply); the output is untouched on failure. What is kept is fit for logs and JSON: names
 * and run ids are UTF-8 without blanks and control characters, never cut; other texts are cut, all
 * but printable ASCII becomes '?'. Thread: any. Source: redis src/sentinel.c.
 */
#ifndef BELLWETHER_SENTINEL_REPLY_H
#define BELLWETHER_SENTINEL_REPLY_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"

#define SENTINEL_RUN_ID_SIZE 48 /* 40 hex digits and room */
#define SENTINEL_NAME_SIZE 256
#define SENTINEL_FLAGS_SIZE 128
#define SENTINEL_WORD_SIZE 64

enum sentinel_flag {
    SENTINEL_S_DOWN = 1 << 0,
    SENTINEL_O_DOWN = 1 << 1,
    SENTINEL_MASTER = 1 << 2,
    SENTINEL_SLAVE = 1 << 3,
    SENTINEL_SENTINEL = 1 << 4,
    SENTINEL_DISCONNECTED = 1 << 5,
    SENTINEL_MASTER_DOWN = 1 << 6,
    SENTINEL_FAILOVER_IN_PROGRESS = 1 << 7,
    SENTINEL_PROMOTED = 1 << 8,
    SENTINEL_RECONF_SENT = 1 << 9,
    SENTINEL_RECONF_INPROG = 1 << 10,
    SENTINEL_RECONF_DONE = 1 << 11,
    SENTINEL_FORCE_FAILOVER = 1 << 12,
    SENTINEL_SCRIPT_KILL_SENT = 1 << 13,
    SENTINEL_COORDINATED_FAILOVER = 1 << 14, /* Valkey 9: the master hands over by itself */
};

/*
 * A row of SENTINEL MASTER or MASTERS. Numbers are -1 and texts empty where the row has no such
 * field.
 */
struct sentinel_master_row {
    char name[SENTINEL_NAME_SIZE];
    struct address address; /* unset when the row's ip or port is unusable */
    char run_id[SENTINEL_RUN_ID_SIZE];
    unsigned flags;
    char flags_text[SENTINEL_FLAGS_SIZE];
    char failover_state[SENTINEL_WORD_SIZE]; /* "" : none under way */
    int64_t config_epoch;
    int64_t quorum;
    int64_t num_other_sentinels;
    int64_t num_slaves;
    int64_t down_after_ms;
    int64_t failover_timeout_ms;
};

/* A row of SENTINEL SENTINELS. */
struct sentinel_peer_row {
    struct address address;
    char run_id[SENTINEL_RUN_ID_SIZE];
    unsigned flags;
    int64_t last_ok_ping_reply_ms;
};

/* A row of SENTINEL REPLICAS. */
struct sentinel_replica_row {
    struct address address;
    char run_id[SENTINEL_RUN_ID_SIZE];
    unsigned flags;
    char flags_text[SENTINEL_FLAGS_SIZE];
    bool link_up;            /* master-link-status is ok */
    int64_t link_down_ms;    /* master-link-down-time; -1 absent */
    int64_t info_refresh_ms; /* age of the last INFO; -1 absent */
    int64_t priority;        /* slave-priority; -1 absent */
    int64_t repl_offset;     /* slave-repl-offset; -1 absent */
    int64_t last_ok_ping_reply_ms;
    struct address master; /* master-host, master-port; unset when unknown ("?") */
};

/* The kind of an error reply, by its first word. */
enum sentinel_error {
    SENTINEL_ERROR_OTHER,
    SENTINEL_ERROR_NO_SUCH_MASTER,
    SENTINEL_ERROR_NOQUORUM,
    SENTINEL_ERROR_NOPERM,
    SENTINEL_ERROR_NOAUTH,
    SENTINEL_ERROR_WRONGPASS,
    SENTINEL_ERROR_UNKNOWN_COMMAND, /* also unknown subcommand */
    SENTINEL_ERROR_LOADING,
    SENTINEL_ERROR_BUSY,
    SENTINEL_ERROR_MASTERDOWN,
    SENTINEL_ERROR_MAXCLIENTS,
};

/** GET-MASTER-ADDR-BY-NAME. @return also -BW_EINVAL: unusable host or port. */
int sentinel_parse_address(const redisReply *reply, struct address *out);
int sentinel_parse_master(const redisReply *reply, struct sentinel_master_row *out);
/**
 * @param out  an array to free() with the caller, one entry a well-formed row; rows without name
 * are left out.
 */
int sentinel_parse_masters(const redisReply *reply, struct sentinel_master_row **out,
                           size_t *n_out);
int sentinel_parse_peers(const redisReply *reply, struct sentinel_peer_row **out, size_t *n_out);
int sentinel_parse_replicas(const redisReply *reply, struct sentinel_replica_row **out,
                            size_t *n_out);
int sentinel_parse_myid(const redisReply *reply, char out[SENTINEL_RUN_ID_SIZE]);
/**
 * CKQUORUM: an OK status and NOQUORUM are both answers. @param text the words, cut to text_size.
 */
int sentinel_parse_ckquorum(const redisReply *reply, bool *ok, char *text, size_t text_size);
/** `sentinel_tilt:1` in INFO's text (bulk, status or verbatim). */
int sentinel_parse_tilt(const redisReply *info, bool *tilt);
/** Which error this error reply is; SENTINEL_ERROR_OTHER also for what is no error reply. */
enum sentinel_error sentinel_error_kind(const redisReply *reply);

#endif
