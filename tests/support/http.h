/* HTTP requests to the daemon; every answer is recorded for the check against openapi.yaml. */
#ifndef BELLWETHER_TESTS_SUPPORT_HTTP_H
#define BELLWETHER_TESTS_SUPPORT_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_answer {
    long status;     /* 0: no answer */
    json_t *headers; /* lower-case names */
    char *body;      /* terminated */
    size_t body_len, body_room;
    json_t *json;        /* the body where it is JSON, else NULL */
    const char *problem; /* why there is no answer */
    int64_t asked_ms, answered_ms;
};

struct http_request {
    const char *method;         /* NULL: GET */
    const char *base;           /* "http://127.0.0.1:8380" */
    const char *cert, *key;     /* what the caller shows over TLS; NULL: nothing */
    const char *unix_socket;    /* NULL: TCP */
    const char *path;           /* with the query, sent as it is */
    const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
    const char *body;           /* NULL: none */
    size_t body_len;
    int64_t bound_ms; /* 0: 5 s */
    bool unrecorded;
};

struct http_answer *http_send(const struct http_request *request);

/** A header's value, "" where it is missing. */
const char *http_header(const struct http_answer *answer, const char *name);
/** A string inside the JSON body by its path ("master.address"); "" where it isn't or is null. */
const char *http_string(const struct http_answer *answer, const char *path);
/** A value inside the JSON body by its path ("replicas.0.healthy"), or NULL. Borrowed. */
json_t *http_value(const struct http_answer *answer, const char *path);
long long http_number(const struct http_answer *answer, const char *path);
/** true; false where it is false or missing. */
bool http_true(const struct http_answer *answer, const char *path);
/** For messages: status and body. */
const char *http_text(const struct http_answer *answer);

/**
 * From now on TLS is spoken to this port, with what the authority in FOLDER/ca.crt has signed.
 * @param folder kept.
 */
void http_secure(uint16_t port, const char *folder);
/** The folder; NULL: that port is plain. */
const char *http_secured(uint16_t port);
/** A session of OpenSSL's on a connection, which does not block from then on; NULL: it failed. */
struct ssl_st *http_shake_hands(int fd, const char *folder);

/* A connection for what no HTTP library would send: over TLS where that is spoken to the port. */
struct raw;
/**
 * To 127.0.0.1; NULL when refused, or when the handshake fails. Closed when the test ends.
 */
struct raw *raw_open(uint16_t port);
/** The same in plain, whatever is spoken there. */
struct raw *raw_open_plain(uint16_t port);
bool raw_send(struct raw *raw, const char *bytes, size_t n);
/**
 * One whole answer (Content-Length or end of connection); status 0 when none came within the bound.
 */
struct http_answer *raw_answer(struct raw *raw, int64_t bound_ms);
/** GET path on this connection and read the answer; recorded. */
struct http_answer *raw_get(struct raw *raw, const char *path, int64_t bound_ms);
/** Record the answer to what was sent, for the check against openapi.yaml. */
void raw_record(const struct http_answer *answer, const char *method, const char *path);
/** Whether the other side closes the connection within the bound. */
bool raw_closes(struct raw *raw, int64_t bound_ms);
/**
 * Take what comes up to and with `mark`. @return it, kept; NULL when it doesn't come within the
 * bound.
 */
char *raw_upto(struct raw *raw, const char *mark, int64_t bound_ms);
/** Read so many bytes, and forget them. @return whether they came within the bound. */
bool raw_drop(struct raw *raw, size_t n, int64_t bound_ms);
/** Whether the other side has closed. */
bool raw_ended(const struct raw *raw);
void raw_close(struct raw *raw);
/** Say that nothing more will be sent, and go on reading. */
void raw_shut(struct raw *raw);
/** Send bytes on a connection of its own and read one answer. */
struct http_answer *raw_exchange(uint16_t port, const char *bytes, size_t n, int64_t bound_ms);

/* What http.c and raw.c share. */
struct http_answer *http_answer_new(void);
/**
 * An answer out of raw bytes, or NULL while it is not whole. @param ended the connection has ended.
 */
struct http_answer *http_answer_parse(const char *bytes, size_t n, bool ended);
bool http_answer_from_the_library(const struct http_answer *answer);

#endif
