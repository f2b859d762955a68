/* Problem bodies (RFC 9457): one list of kinds. */
#ifndef BELLWETHER_HTTP_SERVER_PROBLEM_H
#define BELLWETHER_HTTP_SERVER_PROBLEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* kind, the stable word that `error` begins with, slug of `type`, status, title */
#define PROBLEMS(X) \
    X(NO_MASTER, "NOMASTER", "no-master", 503, "no master") \
    X(NO_REPLICA, "NOREPLICA", "no-replica", 503, "no healthy replica") \
    X(NOT_READY, "NOTREADY", "not-ready", 503, "not ready") \
    X(NOT_IN_ROLE, "NOTINROLE", "not-in-role", 503, "the node is not in that role") \
    X(NO_SELF, "NOTFOUND", "no-self", 404, "no node was named") \
    X(UNKNOWN_NODE, "NOTFOUND", "unknown-node", 404, "no such node is known") \
    X(NOT_ALIVE, "NOTALIVE", "not-alive", 503, "a thread does not turn") \
    X(TOO_MANY_CONNECTIONS, "TOOMANY", "too-many-connections", 503, "too many connections") \
    X(TOO_MANY_WAITERS, "TOOMANY", "too-many-waiters", 503, "too many wait already") \
    X(NOT_FOUND, "NOTFOUND", "not-found", 404, "no such route") \
    X(UNKNOWN_MASTER, "NOMASTER", "unknown-master", 404, "no such master is watched") \
    X(METHOD_NOT_ALLOWED, "BADREQUEST", "method-not-allowed", 405, \
      "this route does not have that method") \
    X(SEVERAL_MASTERS, "BADREQUEST", "several-masters", 409, "several masters and no default") \
    X(BAD_PARAMETER, "BADREQUEST", "bad-parameter", 400, "a query parameter makes no sense") \
    X(BAD_ADDRESS, "BADREQUEST", "bad-address", 400, "that is no address of a node") \
    X(BAD_PATH, "BADREQUEST", "bad-path", 400, "the path is not well encoded") \
    X(WRONG_PROTOCOL, "BADREQUEST", "wrong-protocol", 400, "this is not HTTP/1.1") \
    X(BAD_REQUEST, "BADREQUEST", "bad-request", 400, "the request is malformed") \
    X(TARGET_TOO_LONG, "TOOBIG", "target-too-long", 414, "the request's target is too long") \
    X(HEAD_TOO_LARGE, "TOOBIG", "head-too-large", 431, "the request's headers are too large") \
    X(UNKNOWN_CODING, "BADREQUEST", "unknown-coding", 501, "that transfer coding is not known") \
    X(HTTP_VERSION, "BADREQUEST", "http-version", 505, "that version of HTTP is not spoken") \
    X(REQUEST_TIMEOUT, "TIMEOUT", "request-timeout", 408, "the request took too long to arrive") \
    X(BODY_TOO_LARGE, "TOOBIG", "body-too-large", 413, "the body is too large") \
    X(BAD_COMMAND, "BADREQUEST", "bad-command", 400, \
      "the request holds no command that can be run") \
    X(COMMAND_FAILED, "ERR", "command-failed", 400, "Redis answered with an error") \
    X(NO_TOKEN, "NOAUTH", "no-token", 401, "a token is needed") \
    X(WRONG_TOKEN, "NOAUTH", "wrong-token", 401, "the token is none of those that are accepted") \
    X(FORBIDDEN, "NOPERM", "forbidden", 403, "requests from there are not taken") \
    X(COMMAND_DENIED, "NOPERM", "command-denied", 403, "the command may not be run") \
    X(SCAN_LOST, "SCANLOST", "scan-lost", 409, "the cursor's server is not served any more") \
    X(REPLY_TOO_LARGE, "TOOBIG", "reply-too-large", 502, "the reply is too large") \
    X(TOO_MANY_COMMANDS, "NOTSENT", "too-many-commands", 503, "too many commands wait already") \
    X(NOT_SENT, "NOTSENT", "not-sent", 503, "the command was not sent") \
    X(OUTCOME_UNKNOWN, "UNKNOWN", "outcome-unknown", 504, "the command may have run")

enum problem_kind {
#define X(kind, word, slug, status, title) PROBLEM_##kind,
    PROBLEMS(X)
#undef X
};

unsigned problem_status(enum problem_kind kind);
/**
 * type, title, status, detail, error, help; the caller adds what else there is. A new reference.
 */
json_t *problem_new(enum problem_kind kind, const char *detail);
/** Let `help` lead to what the manual says of the reason. @param reason NULL: the kind's stays. */
void problem_help_with(json_t *problem, const char *reason);
/**
 * As JSON, or in one line of text with a newline.
 * @param problem taken. @param size  the length without the terminating NUL. @return free() it.
 */
char *problem_write(enum problem_kind kind, json_t *problem, bool as_line, bool pretty,
                    size_t *size);

#endif
