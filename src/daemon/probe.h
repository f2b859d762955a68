/* --probe: one request to a daemon that runs; for exec probes, and health checks of images. */
#ifndef BELLWETHER_DAEMON_PROBE_H
#define BELLWETHER_DAEMON_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "bellwether/base/address.h"

#define PROBE_PATH_SIZE 2048
#define PROBE_WORDS_SIZE 512

/* What a URL says. */
struct probe_target {
    bool tls;
    char socket[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": `address` says where */
    struct address address;
    char path[PROBE_PATH_SIZE]; /* with the query */
};

/**
 * Read http://HOST:PORT/PATH, https://HOST:PORT/PATH or unix:SOCKET:/PATH; no path is /readyz.
 * @param out   set on success.
 * @param words what is wrong and what is taken, on failure; PROBE_WORDS_SIZE bytes.
 * @return 0; -BW_EINVAL. Pure.
 */
int probe_read_url(const char *url, struct probe_target *out, char *words);

/* An answer as far as it has come. */
struct probe_answer {
    int status;          /* 0: its head is not whole yet */
    size_t head_size;    /* with the empty line behind it */
    int64_t body_size;   /* as it was announced; -1: not */
    bool plain_text;     /* so a line of it can be shown */
    const char *failure; /* static; why it will never be an answer; NULL: it may be */
};

/** Look at the bytes that have come. @return what they are. Pure. */
struct probe_answer probe_look(const char *bytes, size_t n);

/**
 * Ask. Ends the process by itself when time is up.
 * @return the exit code: 0 for 2xx; 1 for all else and 2 for a bad URL, one line said why.
 */
int probe_run(const char *url, int64_t timeout_ms);

#endif
