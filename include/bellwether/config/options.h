/*
 * Options: one table (src/config/options_table.h) from which come flags, environment, file, --help,
 * the man page's list and --print-config. Flag beats environment beats file beats default.
 */
#ifndef BELLWETHER_CONFIG_OPTIONS_H
#define BELLWETHER_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/log.h"
#include "bellwether/base/secret.h"
#include "bellwether/commands/command_table.h"
#include "bellwether/forward/forward.h"
#include "bellwether/http/worker.h"
#include "bellwether/watcher/thread.h"

/* Where commands for a replica run while no replica is fit. */
enum replica_fallback { REPLICA_FALLBACK_NONE, REPLICA_FALLBACK_MASTER };

enum once_format { ONCE_JSON, ONCE_TEXT, ONCE_URL };

/* Something worth a log line that was found before logging was configured. */
struct options_note {
    enum log_level level;
    const char *message; /* static */
    const char *key;     /* static */
    char *value;
};

struct options {
    /* owned; deployments[0] is the global one, without seeds where only sections have some */
    struct watch_config watch;
    struct http_listen *listens;
    size_t n_listens;
    struct forward_listen *forwards;
    size_t n_forwards;
    int64_t max_forwards;
    int64_t workers;
    int64_t max_connections;
    int64_t max_waiters;
    int64_t max_body_bytes;
    int64_t max_memory_bytes;
    int64_t idle_timeout_ms;
    int64_t request_timeout_ms;
    struct server_tls *tls; /* owned; NULL: no listener and no forward has it */
    char **allow_hosts;     /* owned */
    size_t n_allow_hosts;
    char **allow_origins; /* owned */
    size_t n_allow_origins;
    int64_t max_per_client; /* -1: half of the places */
    int64_t shutdown_delay_ms;
    enum ready_when ready_when;
    enum log_level log_level;
    enum log_format log_format;
    bool once;
    int64_t wait_ms;
    enum once_format format;
    char *probe; /* owned; NULL: none. With it nothing else is set but its time limit */
    int64_t probe_timeout_ms;
    enum self_requires self_requires;
    /* commands over HTTP: set where redis_api is off, too, but for the tokens */
    enum redis_api redis_api;
    struct secret *tokens;           /* owned; NULL or without a value: none */
    struct secret *read_only_tokens; /* the same */
    struct policy *policy;           /* owned */
    int64_t pool_size;
    int64_t command_timeout_ms;
    int64_t max_pending;
    int64_t max_reply_bytes;
    int64_t replica_max_lag_bytes; /* -1: any */
    enum replica_fallback replica_fallback;
    struct http_option *shown; /* every option with its value, secrets masked */
    size_t n_shown;
    struct options_note *notes;
    size_t n_notes;
};

enum options_outcome { OPTIONS_RUN, OPTIONS_EXIT };

/**
 * Read flags, environment and file. Prints what --help, --version, --print-config, --check-config,
 * --completion and --man-options ask for.
 * @param environment borrowed, like environ.
 * @param out         set for OPTIONS_RUN; free with options_release().
 * @param exit_code   set for OPTIONS_EXIT: 0; 1 when standard output cannot be written; 2 after
 * one line to standard error that names option, value and what it takes.
 */
enum options_outcome options_read(int argc, char **argv, char **environment, struct options *out,
                                  int *exit_code);
void options_release(struct options *options);
/**
 * Overwrite the values of the variables that hold secrets, so that nobody finds them in /proc.
 * @param environment like environ.
 */
void options_hide_secrets(char **environment);

#endif
