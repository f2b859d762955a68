/*
 * To which node a client goes, and how it gets there: the address, TCP, TLS, AUTH. One attempt
 * after the other, until its time is over.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/backoff.h"
#include "bellwether/base/buffer.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/socket.h"
#include "link.h"

enum { REST_FIRST_MS = 20, REST_MOST_MS = 500 };
enum { PASSWORD_EVERY_MS = 100 }; /* that its file is read for those who are refused */

/* ---- which node ---- */

static bool is_lagging(const struct door *door, const struct snapshot_replica *replica)
{
    int64_t max = door->all->config->replica_max_lag_bytes;

    return max >= 0 && replica->lag_bytes > max;
}

/* The next one in turn. @return NULL: none is fit. */
static const struct snapshot_replica *choose_replica(struct door *door, int64_t now_ms)
{
    const struct snapshot_master *master = door->master;
    int64_t max_lag_bytes = door->all->config->replica_max_lag_bytes;

    for (size_t i = 0; i < master->n_replicas; i++) {
        size_t at = (door->turn + i) % master->n_replicas;

        if (snapshot_replica_is_fit(&master->replicas[at], max_lag_bytes, now_ms)) {
            door->turn = at + 1;
            return &master->replicas[at];
        }
    }
    return NULL;
}

/*
 * Whether the master can stand in for replicas. How far they lag is asked of it once a second where
 * that matters and it is known to be one: an answer that is overdue is a master that hangs, and is
 * not called down yet.
 */
static bool may_stand_in(const struct door *door, int64_t now_ms)
{
    const struct forward_config *config = door->all->config;
    const struct snapshot_master *master = door->master;

    if (!config->replica_fallback || config->replica_max_lag_bytes < 0 ||
        master->state != MASTER_OK) {
        return config->replica_fallback;
    }
    for (size_t i = 0; i < master->n_replicas; i++) {
        if (master->replicas[i].lag_bytes >= 0 &&
            now_ms - master->replicas[i].lag_at_ms > LAG_FRESH_MS) {
            return false;
        }
    }
    return true;
}

bool link_may_stay(const struct link *link)
{
    const struct snapshot_master *master = link->door->master;

    if (!master) {
        return false;
    }
    if (link->to_replica) {
        const struct snapshot_replica *replica = snapshot_find_replica(master, &link->node);

        return replica && replica->healthy && !is_lagging(link->door, replica);
    }
    return !master->has_address ||
           (link->switches == master->switches && address_equal(&link->node, &master->address));
}

enum metric_forward_end link_say_why(const struct link *link, char *out, size_t size)
{
    const struct door *door = link->door;
    int64_t ms = door->all->config->wait_ms;
    const struct snapshot_master *master = door->master;

    if (snapshot_is_stalled(door->all->snapshot, clock_boot_ms())) {
        (void)snprintf(out, size,
                       "NOMASTER the watcher gives no sign of life, so no master is known");
    } else if (door->lacks) {
        (void)snprintf(out, size, "NOMASTER no Sentinel knows a master named %.200s",
                       door->listen->master);
    } else if (!master) {
        (void)snprintf(out, size, "NOMASTER no master within %" PRId64 " ms: %s", ms,
                       door->all->snapshot && door->all->snapshot->ambiguous_default
                           ? "there are several, and none is the default"
                           : "not resolved yet");
    } else if (door->listen->to == FORWARD_TO_MASTER && !snapshot_master_serves(master)) {
        (void)snprintf(out, size, "NOMASTER no master within %" PRId64 " ms: %s", ms,
                       master->detail ? master->detail : "not resolved yet");
    } else if (door->listen->to == FORWARD_TO_MASTER && master->fence != FENCE_DOWN) {
        (void)snprintf(out, size, "NOMASTER %s within %" PRId64 " ms",
                       master->contradicted
                           ? "most Sentinels name another node than the master, and "
                             "both say master: that came to no end"
                           : "a failover came to no end",
                       ms);
    } else if (link->words) {
        (void)snprintf(out, size, "NOTSENT no connection within %" PRId64 " ms: %.560s", ms,
                       link->words);
        return link->unwelcome ? METRIC_FORWARD_END_AUTH : METRIC_FORWARD_END_NO_NODE;
    } else {
        (void)snprintf(out, size, "NOTSENT no %s within %" PRId64 " ms",
                       door->listen->to == FORWARD_TO_MASTER ? "connection" : "healthy replica",
                       ms);
    }
    return METRIC_FORWARD_END_NO_NODE;
}

/* ---- how to get there ---- */

/* Tell the watcher of the node. */
static void suspect(struct link *link, enum suspicion what)
{
    struct door *door = link->door;
    const struct forward_hooks *hooks = &door->all->hooks;
    int64_t now_ms = clock_boot_ms();

    if (!link->to_replica && door->master && hooks->suspect &&
        now_ms - door->suspected_ms >= SUSPECT_EVERY_MS) {
        door->suspected_ms = now_ms;
        hooks->suspect(hooks->data, what, door->master->name, &link->node);
    }
}

/* This attempt is over: rest, then again. */
static void fail(struct link *link, const char *words)
{
    char text[ADDRESS_TEXT_SIZE], all[LINK_WORDS_SIZE];

    (void)snprintf(all, sizeof(all), "%s: %s", address_format(&link->node, text), words);
    free(link->words);
    link->words = mem_strdup(all);
    link->unwelcome = false;
    link->failures++;
    link->rest_until_ms =
        clock_boot_ms() + jittered_ms(backoff_ms(link->failures, REST_FIRST_MS, REST_MOST_MS), 2);
    link_leave_node(link);
    link_move(link, LINK_WAITING);
}

/* The node can't be had. */
static void fail_lost(struct link *link, const char *words)
{
    suspect(link, SUSPICION_LOST);
    fail(link, words);
}

void link_is_late(struct link *link)
{
    suspect(link, SUSPICION_SILENT);
    fail(link, "it did not answer in time");
}

/* What this host lacks is no fault of the node's. */
static bool is_ours(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
           error == EADDRNOTAVAIL;
}

/* Why the node is there no longer. */
static const char *say_end(const struct link *link)
{
    const char *words = "";

    if (link->server.server) {
        (void)tls_link_failure(link->server.server, &words);
    }
    return words[0] != '\0' ? words : "it closed when it was logged in to";
}

static void on_server(void *data, int events)
{
    struct link *link = data;

    link->server.more = link->server.more || (events & LOOP_END) != 0;
    if (link->state == LINK_JOINED) {
        link_move_ready(link, &link->server, events);
    } else {
        link_go_on(link);
    }
}

static void connect_to(struct link *link, const struct address *ip)
{
    link->server.fd = socket_dial(ip);
    if (link->server.fd < 0) {
        int error = -link->server.fd;

        link->server.fd = -1;
        if (is_ours(error)) {
            fail(link, strerror(error));
        } else {
            fail_lost(link, strerror(error));
        }
        return;
    }
    link->server.poll = loop_poll_new(link->door->all->loop, link->server.fd, on_server, link);
    link_move(link, LINK_CONNECTING);
    if (socket_is_there(link->server.fd)) {
        link_go_on(link);
    } else {
        side_want(&link->server, LOOP_WRITE);
    }
}

static void on_lookup(void *data, int error, const struct address *found, size_t n,
                      const char *words)
{
    struct link *link = data;

    loop_lookup_free(link->lookup);
    link->lookup = NULL;
    if (error != 0 || n == 0) {
        fail_lost(link, words ? words : "the name has no address");
    } else {
        connect_to(link, &found[link->failures % n]); /* another one, when one was no good */
    }
}

static void go_to(struct link *link, const struct address *node, const struct address *ip,
                  int64_t now_ms)
{
    const struct forwards *all = link->door->all;

    link->node = *node;
    link->attempt_ms = now_ms + all->config->connect_timeout_ms;
    if (address_is_ip(node)) {
        connect_to(link, node);
    } else if (address_is_set(ip)) {
        connect_to(link, ip);
    } else {
        link_move(link, LINK_LOOKUP);
        link->lookup =
            loop_lookup_start(all->loop, node, link->door->master->deployment, on_lookup, link);
    }
}

void link_route(struct link *link, int64_t now_ms)
{
    struct door *door = link->door;
    const struct snapshot_master *master = door->master;
    const struct snapshot_replica *replica = NULL;

    if (!master || now_ms < link->rest_until_ms || door->n_dialling >= LINKS_DIALLING_MAX) {
        return;
    }
    if (door->listen->to == FORWARD_TO_REPLICA) {
        bool stands_in = may_stand_in(door, now_ms);

        if (!snapshot_is_stalled(door->all->snapshot, now_ms)) {
            replica = choose_replica(door, now_ms);
        }
        if (!replica && !stands_in) {
            return;
        }
    }
    if (replica) {
        link->to_replica = true;
        go_to(link, &replica->address, &replica->ip, now_ms);
    } else if (snapshot_master_serves(master) && !door_is_fenced(door, now_ms)) {
        link->to_replica = false;
        link->switches = master->switches;
        go_to(link, &master->address, &master->ip, now_ms);
    }
}

void link_forget_node(struct link *link)
{
    free(link->words);
    link->words = NULL;
    link->unwelcome = false;
    link->failures = 0;
    link->rest_until_ms = 0;
}

void link_leave_node(struct link *link)
{
    loop_lookup_free(link->lookup);
    link->lookup = NULL;
    side_close(link, &link->server);
    flow_clear(&link->in);
    flow_clear(&link->out);
    free(link->reply);
    link->reply = NULL;
    link->in.ended = link->in.shut = link->in.refused = link->in.fenced = false;
    link->out.ended = false;
}

/* ---- AUTH ---- */

static const struct redis_login *login_of(const struct link *link)
{
    return redis_logins_of(link->door->all->logins, link->door->master->name);
}

static void add_argument(struct buffer *out, const char *text)
{
    buffer_add_text(out, "$");
    buffer_add_integer(out, (int64_t)strlen(text));
    buffer_add_text(out, "\r\n");
    buffer_add_text(out, text);
    buffer_add_text(out, "\r\n");
}

/* Few bytes on a new connection: the socket takes them all. */
static bool send_login(struct link *link, const struct redis_login *login)
{
    struct buffer out = {0};
    bool sent;

    buffer_add_text(&out, login->username ? "*3\r\n" : "*2\r\n");
    add_argument(&out, "AUTH");
    if (login->username) {
        add_argument(&out, login->username);
    }
    add_argument(&out, secret_value(login->password));
    sent = side_write(link, &link->server, out.bytes, out.size) == (ssize_t)out.size;
    explicit_bzero(out.bytes, out.size);
    buffer_release(&out);
    return sent;
}

/* Where there is no password, whoever has one is let in all the same. */
static bool is_welcome(const char *reply)
{
    return reply[0] == '+' ||
           (strncmp(reply, "-ERR", 4) == 0 &&
            (strstr(reply, "without any password") || strstr(reply, "no password is set")));
}

/* The password may be another one by now. */
static void read_password_again(struct forwards *all, const struct redis_login *login)
{
    int64_t now_ms = clock_boot_ms();

    if (now_ms - all->password_read_ms >= PASSWORD_EVERY_MS) {
        all->password_read_ms = now_ms;
        (void)secret_refresh(login->password, true, NULL, 0);
    }
}

static void refuse_login(struct link *link)
{
    const struct redis_login *login = login_of(link);
    char words[LOGIN_REPLY_SIZE + 32];

    (void)snprintf(words, sizeof(words), "auth: %s",
                   link->reply[0] == '-' ? redis_login_refusal(login, link->reply + 1)
                                         : "what answers AUTH is no Redis server");
    if (strncmp(link->reply, "-WRONGPASS", 10) == 0 || strncmp(link->reply, "-NOAUTH", 7) == 0) {
        read_password_again(link->door->all, login);
    }
    fail(link, words);
    link->unwelcome = true;
}

/* One line, and where it is long enough of it: nothing else was asked. */
static void read_login(struct link *link)
{
    size_t had;
    ssize_t n;
    char *end;

    link->reply = link->reply ? link->reply : mem_new(LOGIN_REPLY_SIZE, 1);
    had = strlen(link->reply);
    n = side_read(link, &link->server, link->reply + had, LOGIN_REPLY_SIZE - 1 - had);
    if (n == FORWARD_END) {
        fail_lost(link, say_end(link));
        return;
    }
    end = strstr(link->reply, "\r\n");
    if (!end && had + (size_t)n < LOGIN_REPLY_SIZE - 1) {
        return;
    }
    if (end) {
        *end = '\0';
    }
    if (is_welcome(link->reply)) {
        link_join(link);
    } else {
        refuse_login(link);
    }
}

static void log_in(struct link *link)
{
    const struct redis_login *login = link->door->listen->auth ? login_of(link) : NULL;

    if (!login || !secret_value(login->password)) {
        link_join(link);
        return;
    }
    link_move(link, LINK_LOGGING_IN);
    side_want(&link->server, LOOP_READ);
    if (!send_login(link, login)) {
        fail_lost(link, say_end(link));
        return;
    }
    read_login(link); /* what came with the handshake is there already */
}

/* ---- TLS ---- */

static void shake(struct link *link)
{
    const char *words;

    switch (tls_link_shake(link->server.server)) {
    case TLS_STEP_DONE: log_in(link); break;
    case TLS_STEP_READ: side_want(&link->server, LOOP_READ); break;
    case TLS_STEP_WRITE: side_want(&link->server, LOOP_WRITE); break;
    case TLS_STEP_FAILED:
        (void)tls_link_failure(link->server.server, &words);
        fail_lost(link, words);
        break;
    }
}

static void connected(struct link *link)
{
    int error = socket_dialled(link->server.fd);
    struct redis_tls *tls = login_of(link)->tls; /* without a master nobody is on his way */

    if (error != 0) {
        fail_lost(link, strerror(error));
    } else if (tls) {
        link->server.server = tls_link_new(tls, link->server.fd, link->node.host, &link->node);
        link_move(link, LINK_SECURING);
        shake(link);
    } else {
        loop_poll_by_change(link->server.poll, true);
        log_in(link);
    }
}

void link_go_on(struct link *link)
{
    switch (link->state) {
    case LINK_CONNECTING: connected(link); break;
    case LINK_SECURING: shake(link); break;
    case LINK_LOGGING_IN: read_login(link); break;
    default: break;
    }
}
