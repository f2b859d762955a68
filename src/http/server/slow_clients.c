/*
 * Whether callers keep up. libmicrohttpd closes who is silent for idle-timeout; but a byte now and
 * then is enough for it. So they are all looked at every now and then: a request has to be there
 * within request-timeout, and an answer has to be taken at some rate.
 */
#include "slow_clients.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include "admission.h"
#include "bellwether/base/clock.h"

#define SLOWEST_BYTES_PER_S 1024
#define RECEIVED_SLACK_MS 50 /* a request's own last bytes are no beginning of the next */
#define TCP_STATE_CLOSED 7   /* among others by a reset: what was sent is never taken */
#define TCP_STATE_CLOSE_WAIT 8

static int64_t timeout_ms(const struct connections *connections)
{
    return http_request_timeout_ms(connections->worker->config);
}

static void time_out(struct http_conn *conn)
{
    static const char words[] = "the request was not all there in time (option request-timeout)";

    connections_refuse(conn->door->all, METRIC_REJECTION_REQUEST_TIMEOUT, words);
    http_conn_say(conn, PROBLEM_REQUEST_TIMEOUT, words, NULL);
    http_conn_cut(conn);
}

static bool tcp_info(const struct http_conn *conn, struct tcp_info *out)
{
    socklen_t size = sizeof(*out);

    memset(out, 0, sizeof(*out));
    return !conn->door->unix_socket && getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, out, &size) == 0;
}

/*
 * The first head over TLS has as long as one that is waited for outside. Who was silent since the
 * handshake has asked for nothing. A close that comes together with a part of a record is not
 * seen by GnuTLS.
 */
static void look_at_securing(struct connections *connections, int64_t now_ms)
{
    int64_t limit_ms = admission_limit_ms(connections);

    for (struct list_link *link = connections->securing.list.first, *next; link; link = next) {
        struct http_conn *conn = LIST_OWNER(link, struct http_conn, link);

        next = link->next;
        http_conn_may_have_left(conn);
        if (conn->state == HTTP_CONN_CUT || now_ms - conn->since_ms < limit_ms) {
            continue;
        }
        if (tls_session_is_idle(conn->tls)) {
            http_conn_cut(conn);
        } else {
            time_out(conn);
        }
    }
}

/*
 * libmicrohttpd does not say that it has read a part of a head; when bytes came last, the kernel
 * does.
 */
static void look_at_idle(struct http_conn *conn, int64_t now_ms)
{
    const struct connections *connections = conn->door->all;
    int64_t limit_ms = timeout_ms(connections);
    struct tcp_info info;

    if (now_ms - conn->looked_ms < limit_ms / 4) {
        return;
    }
    conn->looked_ms = now_ms;
    if (!tcp_info(conn, &info)) {
        http_conn_may_have_left(conn);
        if (conn->state != HTTP_CONN_CUT &&
            now_ms - conn->since_ms > connections->worker->config->idle_timeout_ms + limit_ms) {
            time_out(conn);
        }
    } else if (info.tcpi_state == TCP_STATE_CLOSE_WAIT) {
        http_conn_cut(conn);
    } else if (now_ms - (int64_t)info.tcpi_last_data_recv > conn->since_ms + RECEIVED_SLACK_MS) {
        if (!conn->partial) {
            conn->partial = true;
            conn->moved = (uint64_t)now_ms;
        } else if (now_ms - (int64_t)conn->moved >= limit_ms) {
            time_out(conn);
        }
    }
}

static void look_at_reading(struct http_conn *conn, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - conn->looked_ms;

    http_conn_may_have_left(conn);
    if (conn->state != HTTP_CONN_CUT && elapsed_ms >= timeout_ms(conn->door->all)) {
        if (conn->moved < (uint64_t)(elapsed_ms * SLOWEST_BYTES_PER_S / 1000)) {
            time_out(conn);
        }
        conn->looked_ms = now_ms;
        conn->moved = 0;
    }
}

/*
 * An answer that has not all been written, or taken. Who waits for one has nothing to take but what
 * came before.
 */
static void look_at_busy(struct http_conn *conn, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - conn->looked_ms, least;
    int queued = 0, before = conn->queued;
    uint64_t taken;
    struct tcp_info info;

    if (elapsed_ms < timeout_ms(conn->door->all) / 2) {
        return;
    }
    conn->looked_ms = now_ms;
    if (ioctl(conn->fd, SIOCOUTQ, &queued) != 0 || (queued == 0 && before == 0)) {
        if (conn->state == HTTP_CONN_WAITING) {
            http_conn_move(conn, HTTP_CONN_SETTLED);
        }
        return;
    }
    conn->queued = queued;
    if (tcp_info(conn, &info)) {
        if (info.tcpi_state == TCP_STATE_CLOSED) {
            return; /* it has left; whoever is to write to it finds out */
        }
        taken = info.tcpi_bytes_acked - conn->moved;
        conn->moved = info.tcpi_bytes_acked;
    } else {
        taken = queued == before ? 0 : (uint64_t)before;
    }
    least = elapsed_ms * SLOWEST_BYTES_PER_S / 1000;
    least = before < least ? before : least;
    conn->strikes = before > 0 && taken < (uint64_t)least ? (uint8_t)(conn->strikes + 1) : 0;
    if (conn->strikes >= 2) {
        struct linger at_once = {.l_onoff = 1};

        connections_refuse(conn->door->all, METRIC_REJECTION_SLOW_READER,
                           "they take too little of their answers");
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        http_conn_cut(conn);
    }
}

void slow_clients_sweep(void *data)
{
    struct connections *connections = data;
    int64_t now_ms = clock_boot_ms();

    admission_sweep(connections, now_ms);
    look_at_securing(connections, now_ms);
    LIST_EACH(struct http_conn, conn, &connections->inside.list, link) {
        switch ((enum http_conn_state)conn->state) {
        case HTTP_CONN_IDLE: look_at_idle(conn, now_ms); break;
        case HTTP_CONN_READING: look_at_reading(conn, now_ms); break;
        case HTTP_CONN_BUSY:
        case HTTP_CONN_WAITING: look_at_busy(conn, now_ms); break;
        default: break;
        }
    }
    connections_fill_spares(connections);
    connections_arm(connections);
}
