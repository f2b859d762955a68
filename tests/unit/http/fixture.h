/*
 * A real worker in this process, on free loopback ports, with snapshots made by hand and a watcher
 * that only answers fresh look-ups as it is told to; and an HTTP client that sends and receives raw
 * bytes.
 */
#ifndef BELLWETHER_TESTS_UNIT_HTTP_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_HTTP_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bellwether/base/loop.h"
#include "bellwether/base/pulse.h"
#include "bellwether/http/worker.h"
#include "bellwether/topology/messages.h"
#include "bellwether/topology/snapshot.h"

/* ---- snapshots ---- */

/**
 * A master in state ok at `10.0.0.12:6379`, epoch 3, index 7, revision 1, majority, three
 * Sentinels. One reference.
 */
struct snapshot_master *make_master(const char *name);
/** The same, in another state; UNKNOWN has no address. */
struct snapshot_master *make_master_in(const char *name, enum master_state state,
                                       enum reason reason);
/** Give it `n` replicas at 10.0.1.1, 10.0.1.2 ...: healthy, lag 100 × their number, listed
 * by all. */
void add_replicas(struct snapshot_master *master, size_t n);
/**
 * A snapshot of up to three masters (NULL ends the list early), references taken; the first is the
 * default.
 */
struct snapshot *make_snapshot(struct snapshot_master *a, struct snapshot_master *b,
                               struct snapshot_master *c);
/** Of two masters, neither of which is the default. */
struct snapshot *make_several(struct snapshot_master *a, struct snapshot_master *b);
struct address make_address(const char *text);

/* ---- the worker ---- */

enum { LISTEN_ALL, LISTEN_PROBE, LISTENS };

/* What the watcher does with a question. */
enum script { SCRIPT_CONFIRM, SCRIPT_REFUSE, SCRIPT_SILENT };

struct harness {
    struct http_config config;
    struct http_listen listens[LISTENS];
    struct http_sockets *sockets;
    struct worker *worker;
    struct pulse pulses[2];
    struct loop *watcher_loop;
    struct mailbox *watcher;
    pthread_t watcher_thread;
    _Atomic enum script script;
    _Atomic size_t lag_read, lag_asked; /* that somebody reads the lag; and waits for it */
    _Atomic size_t asked;
    /* of what reports for /status are made; owned; NULL: it is silent */
    struct snapshot *status_of;
    /* posted before each answer of the watcher; owned; NULL: none */
    struct snapshot *before_answer;
};

/**
 * Defaults: two listeners (all, probe), limits small but ample. Change `config` before
 * harness_start().
 */
void harness_init(struct harness *harness);
void harness_start(struct harness *harness);
/** Post a snapshot; the reference is taken over. Requests sent afterwards see it. */
void harness_post(struct harness *harness, struct snapshot *snapshot);
void harness_news(struct harness *harness, enum message_kind kind);
/** Stop the worker (as main does) and free everything. */
void harness_release(struct harness *harness);
/**
 * Whether something takes less than `bound_ms` in one of a few tries: a slow machine is late now
 * and then, a worker that waits for a deadline always.
 * @param took     does it, and says how many milliseconds it took.
 * @param restart  called between two tries.
 */
bool harness_is_within(int64_t bound_ms, int64_t (*took)(void), void (*restart)(void));

/* ---- the client ---- */

struct reply {
    int status;
    char head[8192]; /* status line and headers, lower-cased names */
    char *body;      /* owned, terminated */
    size_t size;
    bool closed; /* the server closed the connection afterwards */
};

/** A connection to a listener. The receive time-out is 5 s. */
int dial(const struct harness *harness, int listener);
void send_bytes(int fd, const char *bytes, size_t size);
void send_text(int fd, const char *text);
/** Whatever has come, also where the process stood still while it waited. */
ssize_t receive(int fd, char *bytes, size_t size);
/** Read one reply. @param has_body false for the answer to HEAD. */
struct reply read_reply(int fd, bool has_body);
/** True when the server closes without another byte. */
bool reads_end(int fd);
void reply_release(struct reply *reply);

/** One request on a connection of its own. `more`: header lines, each with \r\n, or NULL. */
struct reply ask(const struct harness *harness, const char *method, const char *target,
                 const char *more);
struct reply ask_probe(const struct harness *harness, const char *method, const char *target);
struct reply get(const struct harness *harness, const char *target);
/** A header's value in a static buffer, "" when it is not there. @param name in lower case. */
const char *header_of(const struct reply *reply, const char *name);

#endif
