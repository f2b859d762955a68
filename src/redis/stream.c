/*
 * A connected socket: HELLO, commands out in one write a turn, and bytes in.
 *
 * What goes out stands in hiredis' buffer, which moves what is left after each write: so it gets a
 * piece at a time, and what is longer waits in a backlog of our own. `appended` and `taken` count
 * the stream's bytes: what was sent, and what the socket took of it.
 */
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bellwether/base/memory.h"
#include "bellwether/redis/tls_link.h"
#include "replies.h"

#define WRITE_BYTES ((size_t)128 * 1024)
/* After so many writes others have their turn. */
#define WRITES_A_TURN 16
/* What an idle connection may keep for writing. */
#define WRITER_KEEP_BYTES 4096

void conn_stream_want(struct redis_conn *conn, int events)
{
    if (conn->wanted == events) {
        return;
    }
    conn->wanted = events;
    loop_poll_want(conn->poll, events);
}

/* ---- out ---- */

static void fill(redisContext *context, const char *bytes, size_t size)
{
    if (redisAppendFormattedCommand(context, bytes, size) != REDIS_OK) {
        mem_exhausted();
    }
}

/*
 * What was sent of the backlog is dropped once it is the greater part: so less is moved than was
 * sent.
 */
static void trim_backlog(struct redis_conn *conn)
{
    struct buffer *backlog = &conn->backlog;

    if (conn->backlog_sent == backlog->size) {
        buffer_release(backlog);
        conn->backlog_sent = 0;
    } else if (conn->backlog_sent > backlog->size / 2) {
        backlog->size -= conn->backlog_sent;
        memmove(backlog->bytes, backlog->bytes + conn->backlog_sent, backlog->size);
        conn->backlog_sent = 0;
    }
}

void conn_stream_append(struct redis_conn *conn, const char *wire, size_t size)
{
    if (conn->backlog.size == 0 && sdslen(conn->context->obuf) + size <= WRITE_BYTES) {
        fill(conn->context, wire, size);
    } else {
        trim_backlog(conn);
        buffer_add(&conn->backlog, wire, size);
    }
    conn->appended += size;
    loop_later_queue(conn->loop, &conn->flush);
}

void conn_stream_cut(struct redis_conn *conn, uint64_t at)
{
    size_t kept = (size_t)(at - conn->taken), filled = sdslen(conn->context->obuf);

    if (kept >= filled) {
        conn->backlog.size = conn->backlog_sent + (kept - filled);
    } else {
        conn->backlog.size = conn->backlog_sent;
        if (kept == 0) {
            sdsclear(conn->context->obuf);
        } else {
            (void)sdsrange(conn->context->obuf, 0, (ssize_t)kept - 1);
        }
    }
    trim_backlog(conn);
    conn->appended = at;
}

static void refill(struct redis_conn *conn)
{
    size_t more = conn->backlog.size - conn->backlog_sent, room;

    if (more == 0) {
        return;
    }
    room = sdslen(conn->context->obuf);
    room = room < WRITE_BYTES ? WRITE_BYTES - room : 0;
    if (more > room) {
        more = room;
    }
    fill(conn->context, conn->backlog.bytes + conn->backlog_sent, more);
    conn->backlog_sent += more;
    if (conn->backlog_sent == conn->backlog.size) {
        trim_backlog(conn);
    }
}

/*
 * hiredis' own redisBufferWrite() would free its buffer with each write that takes all of it.
 * @return 1: some were taken, or there are none; 0: no room in the socket; -1: the connection is
 * lost.
 */
static int write_piece(struct redis_conn *conn)
{
    redisContext *context = conn->context;
    size_t left = sdslen(context->obuf);
    ssize_t n;

    if (left == 0) {
        return 1;
    }
    if (conn->link) {
        n = tls_link_write(conn->link, context->obuf, left);
        conn->begun = conn->taken + tls_link_held(conn->link);
    } else {
        n = context->funcs->write(context);
    }
    if (n <= 0) {
        return n < 0 ? -1 : 0;
    }
    conn->taken += (uint64_t)n;
    conn->begun = conn->taken;
    if ((size_t)n < left) {
        (void)sdsrange(context->obuf, n, -1);
        return 1;
    }
    if (conn->confidential) {
        explicit_bzero(context->obuf, sdsalloc(context->obuf));
        conn->confidential = conn->backlog.size > 0;
    }
    sdsclear(context->obuf);
    if (sdsalloc(context->obuf) > WRITER_KEEP_BYTES && conn->backlog.size == 0) {
        sdsfree(context->obuf);
        context->obuf = sdsempty();
        if (!context->obuf) {
            mem_exhausted();
        }
    }
    return 1;
}

/* TLS has to send something before it can go on reading. */
static bool reads_on_write(const struct redis_conn *conn)
{
    return conn->link && tls_link_reads_on_write(conn->link);
}

/* The socket takes no more: the peer may have said why before it closed. */
static void write_failed(struct redis_conn *conn)
{
    uint64_t session = conn->session;

    enum redis_fail why = REDIS_FAIL_CLOSED;
    const char *words = conn->context->errstr;

    if (conn->link) {
        why = tls_link_failure(conn->link, &words);
    }
    conn_say(conn, "%s", words);
    conn->context->err = 0;
    conn_stream_drain(conn);
    if (conn->session == session) {
        conn_lost(conn, why, conn->words);
    }
}

/* Whatever comes in, and to be told when the socket has room for what it did not take. */
static void want_more(struct redis_conn *conn)
{
    bool waits = conn->taken != conn->appended || reads_on_write(conn);

    conn_stream_want(conn, waits ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void write_some(struct redis_conn *conn)
{
    int outcome = 1;

    for (int i = 0; i < WRITES_A_TURN && outcome > 0; i++) {
        refill(conn);
        if (sdslen(conn->context->obuf) == 0) {
            break;
        }
        outcome = write_piece(conn);
    }
    if (outcome < 0) {
        write_failed(conn);
    } else {
        want_more(conn);
    }
}

/*
 * Write without waiting to be told that the socket is writable: nearly always it is, and that saves
 * a turn.
 */
void conn_stream_flush(void *data)
{
    struct redis_conn *conn = data;

    if (!conn->context) {
        return;
    }
    conn_enter(conn);
    write_some(conn);
    conn_leave(conn);
}

size_t redis_conn_queued(const struct redis_conn *conn)
{
    return conn->flush.queued ? (size_t)(conn->appended - conn->taken) : 0;
}

size_t redis_conn_clogged(const struct redis_conn *conn)
{
    return (conn->wanted & LOOP_WRITE) != 0 ? (size_t)(conn->appended - conn->taken) : 0;
}

/* ---- in ---- */

static void read_failed(struct redis_conn *conn, int error)
{
    const redisContext *context = conn->context;
    enum redis_fail why = REDIS_FAIL_CLOSED;
    const char *words;

    if (conn->link) {
        why = tls_link_failure(conn->link, &words);
        conn_lost(conn, why, conn_say(conn, "%s", words));
        return;
    }
    if (context->err == REDIS_ERR_IO && error == ETIMEDOUT) {
        why = REDIS_FAIL_TIMEOUT;
    } else if (context->err == REDIS_ERR_IO && (error == EHOSTUNREACH || error == ENETUNREACH)) {
        why = REDIS_FAIL_UNREACHABLE;
    }
    conn_lost(
        conn, why,
        conn_say(conn, "%s", context->err == REDIS_ERR_EOF ? "end of file" : context->errstr));
}

/* A record of a TLS handshake, or an alert. */
static bool is_tls(const char *bytes, size_t size)
{
    return (bytes[0] == 0x15 || bytes[0] == 0x16) && (size == 1 || bytes[1] == 3);
}

static ssize_t read_bytes(struct redis_conn *conn, char *bytes, bool more)
{
    ssize_t n;

    errno = 0;
    if (!conn->link) {
        n = conn->context->funcs->read(conn->context, bytes, LOOP_SCRATCH_BYTES);
    } else {
        n = more ? tls_link_read_more(conn->link, bytes, LOOP_SCRATCH_BYTES)
                 : tls_link_read(conn->link, bytes, LOOP_SCRATCH_BYTES);
    }
    if (conn->link && n >= 0) {
        want_more(conn);
    }
    if (n < 0) {
        read_failed(conn, errno);
    }
    return n;
}

static void take_bytes(struct redis_conn *conn, const char *bytes, size_t n)
{
    conn->received += n;
    if (conn->greeting == CONN_GREET_IN_PLAIN) {
        bool plain = bytes[0] == '+' || bytes[0] == '-';

        conn_lost(conn, plain ? REDIS_FAIL_TLS : REDIS_FAIL_CLOSED,
                  plain ? "it speaks plain, without TLS" : "");
    } else if (!conn->link && conn->received == n && is_tls(bytes, n)) {
        conn_lost(conn, REDIS_FAIL_TLS,
                  conn_say(conn, "it answers TLS: set %s on", conn->tls_option));
    } else if (conn->greeting == CONN_GREET_IN_TLS) {
        conn_lost(conn, REDIS_FAIL_CLOSED, "");
    } else {
        conn_replies_take(conn, bytes, n);
    }
}

/*
 * What the socket has, once: a peer that answers without end must not hold up the others.
 * @param more of TLS: only what was read already.
 * @return whether something was read and the connection still stands.
 */
static bool read_some(struct redis_conn *conn, bool more)
{
    uint64_t session = conn->session;
    /* so large that many megabytes take few reads */
    char *bytes = loop_scratch(conn->loop);
    bool any = false;

    for (ssize_t n; (n = read_bytes(conn, bytes, more || any)) > 0; any = true) {
        take_bytes(conn, bytes, (size_t)n);
        if (conn->session != session) {
            return false;
        }
        if (!conn->link) {
            return true;
        }
    }
    return any && conn->session == session;
}

/*
 * What is there at this moment, and where that is all, whether it has ended: a peer that answers
 * faster than it is read would hold up the others for good.
 */
void conn_stream_drain(struct redis_conn *conn)
{
    uint64_t end = conn->received;
    int there = 0;

    if (ioctl(conn->context->fd, FIONREAD, &there) == 0 && there > 0) {
        end += (uint64_t)there;
    }
    while (read_some(conn, false) && conn->received <= end) {
        ;
    }
}

uint64_t redis_conn_received(const struct redis_conn *conn)
{
    return conn->received;
}

/* ---- the socket ---- */

/*
 * The smallest ClientHello that every TLS server answers, if only with an alert: version 1.2, some
 * suites, no extensions.
 */
static const char client_hello[] = {
    0x16, 0x03, 0x01, 0x00, 0x33, 0x01, 0x00, 0x00, 0x2f, 0x03, 0x03, 'b', 'e',  'l',
    'l',  'w',  'e',  't',  'h',  'e',  'r',  ' ',  'a',  's',  'k',  's', ':',  ' ',
    'i',  's',  ' ',  't',  'h',  'i',  's',  ' ',  'T',  'L',  'S',  ' ', '?',  ' ',
    '.',  0x00, 0x00, 0x08, -64,  0x2f, 0x00, -100, 0x00, 0x2f, 0x00, -1,  0x01, 0x00,
};

void conn_stream_start(struct redis_conn *conn)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";

    redisOptions how = {.type = REDIS_CONN_USERFD,
                        .options = REDIS_OPT_NONBLOCK | REDIS_OPT_NO_PUSH_AUTOFREE};

    how.endpoint.fd = conn->fd;
    conn->context = redisConnectWithOptions(&how);
    if (!conn->context || conn->context->err != 0) {
        mem_exhausted(); /* nothing else can fail here */
    }
    conn->fd = -1;
    conn_move(conn, CONN_HELLO);
    conn->resp3 = false;
    conn->subscribed = conn->listens = false;
    conn->appended = conn->taken = conn->begun = conn->received = 0;
    conn_replies_start(conn);
    conn->confidential = true;
    if (conn->greeting == CONN_GREET_IN_TLS) {
        conn_stream_append(conn, client_hello, sizeof(client_hello));
    } else if (conn->greeting == CONN_GREET) {
        conn_stream_append(conn, conn->hello, conn->hello_len);
    }
    if (conn->greeting == CONN_GREET_IN_PLAIN ||
        (conn->greeting == CONN_GREET && conn->ping_done)) {
        conn_stream_append(conn, ping, sizeof(ping) - 1);
    }
    conn_stream_want(conn, LOOP_READ);
}

void conn_stream_secure(struct redis_conn *conn)
{
    conn->link = tls_link_new(conn->tls, conn->fd,
                              conn->tls_host ? conn->tls_host : conn->target.host, &conn->peer);
    conn_move(conn, CONN_TLS);
    conn_stream_shake(conn);
}

void conn_stream_shake(struct redis_conn *conn)
{
    enum redis_fail why;
    const char *words;

    switch (tls_link_shake(conn->link)) {
    case TLS_STEP_DONE:
        conn_stream_start(conn);
        (void)read_some(conn, true);
        break;
    case TLS_STEP_READ: conn_stream_want(conn, LOOP_READ); break;
    case TLS_STEP_WRITE: conn_stream_want(conn, LOOP_WRITE); break;
    case TLS_STEP_FAILED:
        why = tls_link_failure(conn->link, &words);
        conn_lost(conn, why, conn_say(conn, "%s", words));
        break;
    }
}

void conn_stream_stop(struct redis_conn *conn)
{
    loop_later_cancel(conn->loop, &conn->flush);
    tls_link_free(conn->link); /* before its socket */
    conn->link = NULL;
    loop_poll_free(conn->poll);
    conn->poll = NULL;
    conn->wanted = 0;
    buffer_release(&conn->backlog);
    conn->backlog_sent = 0;
    if (conn->context && conn->confidential) {
        explicit_bzero(conn->context->obuf, sdsalloc(conn->context->obuf));
    }
    conn->confidential = false;
    redisFree(conn->context); /* closes the socket */
    resp_reader_stop(&conn->reader);
    conn->context = NULL;
    if (conn->fd >= 0) {
        close(conn->fd);
    }
    conn->fd = -1;
}

void conn_stream_ready(struct redis_conn *conn, int events)
{
    uint64_t session = conn->session;

    if (!conn->context) {
        return;
    }
    if ((events & LOOP_READ) || reads_on_write(conn)) {
        read_some(conn, false);
    }
    if ((events & LOOP_WRITE) && conn->session == session) {
        write_some(conn);
    }
}
