/* The harness of the worker's tests: see the header. */
#include "fixture.h"

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/topology/report.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- snapshots ---- */

struct snapshot *make_several(struct snapshot_master *a, struct snapshot_master *b)
{
    struct snapshot *snapshot = make_snapshot(a, b, NULL);

    free(snapshot->default_name);
    snapshot->default_name = NULL;
    snapshot->ambiguous_default = true;
    return snapshot;
}

struct address make_address(const char *text)
{
    struct address address;
    char error[128];

    cr_assert_eq(address_parse(text, 0, &address, error, sizeof(error)), 0, "%s", error);
    return address;
}

static void add_sentinels(struct snapshot_master *master)
{
    master->n_sentinels = 3;
    master->sentinels = mem_new(3, sizeof(*master->sentinels));
    for (size_t i = 0; i < 3; i++) {
        struct snapshot_sentinel *sentinel = &master->sentinels[i];
        char at[64];

        snprintf(at, sizeof(at), "10.0.2.%zu:26379", i + 1);
        sentinel->address = make_address(at);
        snprintf(sentinel->run_id, sizeof(sentinel->run_id), "%040zu", i + 1);
        sentinel->configured = i == 0;
        sentinel->reachable = sentinel->agrees = sentinel->has_says = true;
        sentinel->says = make_address("10.0.0.12:6379");
        sentinel->config_epoch = 3;
        sentinel->voters = 3;
        sentinel->quorum = 2;
        sentinel->down_after_ms = 1000;
        sentinel->failover_timeout_ms = -1;
        snprintf(sentinel->master_flags, sizeof(sentinel->master_flags), "master");
    }
}

struct snapshot_master *make_master_in(const char *name, enum master_state state,
                                       enum reason reason)
{
    struct snapshot_master *master = snapshot_master_new(name);

    master->state = state;
    master->reason = reason;
    master->detail = mem_strdup(state == MASTER_OK ? "" : "10.0.0.12:6379 refused twice");
    master->has_address = state != MASTER_UNKNOWN;
    master->verified = state == MASTER_OK;
    master->majority = true;
    master->config_epoch = state == MASTER_UNKNOWN ? EPOCH_UNKNOWN : 3;
    master->index = 7;
    master->revision = 1;
    master->since_wall_ms = INT64_C(1795348800123);
    master->quorum = 2;
    master->known = master->reachable = master->agreeing = 3;
    master->voters_needed = 2;
    if (master->has_address) {
        master->address = make_address("10.0.0.12:6379");
    }
    add_sentinels(master);
    return master;
}

struct snapshot_master *make_master(const char *name)
{
    return make_master_in(name, MASTER_OK, REASON_NONE);
}

void add_replicas(struct snapshot_master *master, size_t n)
{
    master->n_replicas = n;
    master->replicas = mem_new(n, sizeof(*master->replicas));
    for (size_t i = 0; i < n; i++) {
        struct snapshot_replica *replica = &master->replicas[i];
        char at[64];

        snprintf(at, sizeof(at), "10.0.1.%zu:6379", i + 1);
        replica->address = replica->ip = make_address(at);
        snprintf(replica->run_id, sizeof(replica->run_id), "%040zu", i + 100);
        replica->healthy = replica->link_up = replica->promotable = true;
        replica->vouched = replica->majority = true;
        replica->lag_bytes = (int64_t)(i + 1) * 100;
        replica->lag_at_ms = clock_boot_ms() + 60000; /* fresh for as long as a test takes */
        replica->priority = 100;
        snprintf(replica->flags, sizeof(replica->flags), "slave");
    }
}

struct snapshot *make_snapshot(struct snapshot_master *a, struct snapshot_master *b,
                               struct snapshot_master *c)
{
    struct snapshot_master *masters[] = {a, b, c};
    size_t n = a ? b ? c ? 3 : 2 : 1 : 0;
    struct snapshot *snapshot = snapshot_new(n);

    snapshot->index = 7;
    snapshot->n_masters = n;
    for (size_t i = 0; i < n; i++) {
        snapshot->masters[i] = masters[i];
    }
    snapshot->default_name = n ? mem_strdup(a->name) : NULL;
    snapshot->any_sentinel_reachable = snapshot->all_resolved = true;
    return snapshot;
}

/* ---- the watcher's end ---- */

/* As the watcher would say it: verified 180 ms ago, each Sentinel heard 200 ms ago. */
static struct status_report *make_report(const struct snapshot *snapshot)
{
    struct status_report *report = status_report_of_snapshot(snapshot, INT64_C(1795348860000));

    report->live = true;
    for (size_t i = 0; i < report->n_masters; i++) {
        struct status_master *master = &report->masters[i];

        master->verification = (struct status_verification){.known = true,
                                                            .enabled = true,
                                                            .connected = true,
                                                            .answered = true,
                                                            .answer = ROLE_MASTER,
                                                            .age_ms = 180,
                                                            .master_age_ms = 180};
        for (size_t j = 0; j < master->shown->n_sentinels; j++) {
            master->voices[j] =
                (struct status_vote){.counts = true, .age_ms = 200, .interval_ms = 1000};
        }
    }
    return report;
}

static void answer_question(void *data, struct message *message)
{
    struct harness *harness = data;
    struct message_ask_fresh *question = (struct message_ask_fresh *)message;
    enum script script = atomic_load(&harness->script);

    if (message->kind == MESSAGE_ASK_FRESH) {
        atomic_fetch_add(&harness->asked, 1); /* first: who has the answer may look at once */
    }
    if (message->kind == MESSAGE_STOP) {
        loop_stop(harness->watcher_loop);
    } else if (message->kind == MESSAGE_ASK_FRESH && script != SCRIPT_SILENT) {
        if (harness->before_answer) {
            mailbox_post(question->reply_to, message_snapshot_new(harness->before_answer));
        }
        mailbox_post(question->reply_to,
                     message_fresh_new(
                         question->ticket, script == SCRIPT_CONFIRM,
                         script == SCRIPT_CONFIRM ? REASON_NONE : REASON_REDIS_TIMEOUT,
                         script == SCRIPT_CONFIRM ? "" : "10.0.0.12:6379 did not answer in 500ms"));
    }
    if (message->kind == MESSAGE_ASK_LAG) {
        const struct message_ask_lag *ask = (struct message_ask_lag *)message;

        atomic_fetch_add(ask->reply_to ? &harness->lag_asked : &harness->lag_read, 1);
        if (ask->reply_to && harness->before_answer) {
            mailbox_post(ask->reply_to, message_snapshot_new(harness->before_answer));
        }
        if (ask->reply_to && script != SCRIPT_SILENT) {
            mailbox_post(ask->reply_to, message_fresh_new(ask->ticket, true, REASON_NONE, ""));
        }
    }
    if (message->kind == MESSAGE_ASK_STATUS && harness->status_of) {
        const struct message_ask_status *ask = (struct message_ask_status *)message;

        mailbox_post(ask->reply_to,
                     message_status_new(ask->ticket, make_report(harness->status_of)));
    }
    message->drop(message);
}

static void *run_watcher(void *data)
{
    loop_run(((struct harness *)data)->watcher_loop);
    return NULL;
}

/* ---- the worker ---- */

void harness_init(struct harness *harness)
{
    static const char *const names[] = {"x", "a", "test"}; /* what requests in tests say as Host */

    memset(harness, 0, sizeof(*harness));
    for (int i = 0; i < LISTENS; i++) {
        snprintf(harness->listens[i].place.address.host, ADDRESS_HOST_SIZE, "127.0.0.1");
        harness->listens[i].scope = i == LISTEN_PROBE ? HTTP_SCOPE_PROBE : HTTP_SCOPE_ALL;
    }
    harness->config = (struct http_config){
        .n_listens = LISTENS,
        .max_connections = 100,
        .max_waiters = 50,
        .n_workers = 1,
        .idle_timeout_ms = 10000,
        .allow_hosts = names,
        .n_allow_hosts = 3,
        .max_body_bytes = 1000,
        .poll_wait_ms = 2000,
        .ready_when = READY_WHEN_RESOLVED,
    };
}

void harness_start(struct harness *harness)
{
    char error[320] = "";

    harness->config.listens = harness->listens;
    harness->config.pulses = harness->pulses;
    /* This watcher gives one sign of life, which lasts. */
    atomic_store(&harness->pulses[0].at_boot_ms, clock_boot_ms() + 600000);
    harness->watcher_loop = loop_new();
    harness->watcher = mailbox_new(harness->watcher_loop, answer_question, harness);
    cr_assert_eq(pthread_create(&harness->watcher_thread, NULL, run_watcher, harness), 0);
    harness->sockets = http_sockets_open(&harness->config, error, sizeof(error));
    cr_assert_not_null(harness->sockets, "%s", error);
    harness->worker = worker_new(&harness->config, &http_routes, harness->sockets, 0,
                                 harness->watcher, &harness->pulses[1]);
    cr_assert_eq(worker_start(harness->worker), 0);
}

void harness_post(struct harness *harness, struct snapshot *snapshot)
{
    if (!snapshot->pulse) {
        snapshot->pulse = &harness->pulses[0];
    }
    mailbox_post(worker_mailbox(harness->worker), message_snapshot_new(snapshot));
    snapshot_unref(snapshot);
}

void harness_news(struct harness *harness, enum message_kind kind)
{
    mailbox_post(worker_mailbox(harness->worker), message_plain_new(kind));
}

void harness_release(struct harness *harness)
{
    worker_stop(harness->worker);
    mailbox_post(harness->watcher, message_plain_new(MESSAGE_STOP));
    pthread_join(harness->watcher_thread, NULL);
    worker_free(harness->worker);
    mailbox_free(harness->watcher);
    loop_free(harness->watcher_loop);
    http_sockets_free(harness->sockets);
    snapshot_unref(harness->before_answer);
    snapshot_unref(harness->status_of);
}

bool harness_is_within(int64_t bound_ms, int64_t (*took)(void), void (*restart)(void))
{
    for (int tries = 5; took() >= bound_ms; restart()) {
        if (--tries == 0) {
            return false;
        }
    }
    return true;
}

/* ---- the client ---- */

int dial(const struct harness *harness, int listener)
{
    struct timeval patience = {.tv_sec = 5};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_port = htons(http_sockets_address(harness->sockets, (size_t)listener)->port);
    cr_assert_geq(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* A server that refuses early may have closed: what counts is what it answered. */
void send_bytes(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

        if (n <= 0) {
            return;
        }
        bytes += n;
        size -= (size_t)n;
    }
}

void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

ssize_t receive(int fd, char *bytes, size_t size)
{
    ssize_t n;

    do {
        n = recv(fd, bytes, size, 0);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Up to and with the empty line. */
static size_t read_head(int fd, char *head, size_t room)
{
    size_t len = 0;

    while (len + 1 < room && (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0)) {
        if (receive(fd, head + len, 1) != 1) {
            break;
        }
        len++;
    }
    head[len] = '\0';
    return len;
}

static void lower_names(char *head)
{
    char *line = strchr(head, '\n');

    for (; line && line[1] != '\0' && line[1] != '\r'; line = strchr(line + 1, '\n')) {
        for (char *c = line + 1; *c && *c != ':'; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
    }
}

const char *header_of(const struct reply *reply, const char *name)
{
    static char value[512];
    char start[64];
    const char *at;

    snprintf(start, sizeof(start), "\n%s: ", name);
    at = strstr(reply->head, start);
    value[0] = '\0';
    if (at) {
        at += strlen(start);
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r"), at);
    }
    return value;
}

struct reply read_reply(int fd, bool has_body)
{
    struct reply reply = {0};
    size_t expected, got = 0;

    read_head(fd, reply.head, sizeof(reply.head));
    lower_names(reply.head);
    if (sscanf(reply.head, "HTTP/1.%*d %d", &reply.status) != 1) {
        reply.closed = true;
        reply.body = mem_new(1, 1);
        return reply;
    }
    expected = has_body && reply.status != 304 && reply.status != 204
                   ? (size_t)strtoul(header_of(&reply, "content-length"), NULL, 10)
                   : 0;
    reply.body = mem_new(expected + 1, 1);
    while (got < expected) {
        ssize_t n = receive(fd, reply.body + got, expected - got);

        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    reply.size = got;
    cr_expect_eq(got, expected, "the body is cut at %zu of %zu", got, expected);
    return reply;
}

bool reads_end(int fd)
{
    char byte;

    return receive(fd, &byte, 1) == 0;
}

void reply_release(struct reply *reply)
{
    free(reply->body);
    reply->body = NULL;
}

static struct reply ask_on(const struct harness *harness, int listener, const char *method,
                           const char *target, const char *more)
{
    char text[4096];
    int fd = dial(harness, listener);
    struct reply reply;

    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, target,
             more ? more : "");
    send_text(fd, text);
    reply = read_reply(fd, strcmp(method, "HEAD") != 0);
    close(fd);
    return reply;
}

struct reply ask(const struct harness *harness, const char *method, const char *target,
                 const char *more)
{
    return ask_on(harness, LISTEN_ALL, method, target, more);
}

struct reply ask_probe(const struct harness *harness, const char *method, const char *target)
{
    return ask_on(harness, LISTEN_PROBE, method, target, NULL);
}

struct reply get(const struct harness *harness, const char *target)
{
    return ask(harness, "GET", target, NULL);
}
