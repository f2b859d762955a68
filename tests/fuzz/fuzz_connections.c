/*
 * Whole connections to a whole worker, which runs on this thread: real loopback sockets, a
 * snapshot, a watcher's answers, and a Redis node that says what the input says. The input is what
 * clients send, with instructions behind 0xff:
 *
 *   0-3   the client that what follows is of; its first bytes connect it    ' '  send what is
 *         there, a turn
 *   p     the next one that connects takes the probes' listener             h    no more comes from
 *         it (half closed)
 *   r     it is gone (RST)                                                  c    it is gone (FIN)
 *   u     it reads no more, or again                                        w n  n * 100 ms pass
 *   s n   a snapshot: n says where the master is, and how                   e    a Sentinel's event
 *   q n   how Redis answers from now on                                     f n  how fresh look-ups
 *         are answered
 *   d     the daemon drains                                                 else the byte 0xff and
 *         that one
 *
 * Held: no fault, leak or busy loop; what is answered is HTTP with a status and a body that we
 * have; a connection that the worker closes was answered whole; afterwards /livez is 200, and
 * nothing is kept of connections and requests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"
#include "bellwether/commands/command_table.h"
#include "bellwether/commands/pool.h"
#include "bellwether/topology/report.h"
#include "http/routes/redis.h"
#include "http/server/connections.h"
#include "http/server/sockets.h"
#include "http_answers.h"
#include "loopback.h"
#include "outside.h"
#include "wire.h"

#define ALIVE "HTTP/1.1 200"

enum {
    CLIENTS = 4,
    CONTROL = CLIENTS,
    WIRES = 16,
    ANSWERS_MAX = 4 << 20,
    PATIENCE_MS = 60000,
    REQUEST_TIMEOUT_MS = 2000,
    KERNEL_WAITS = 500, /* of 10 ms: the kernel's time is another, and it may need some */
};

static struct stage {
    struct outside_input input;
    struct client clients[CLIENTS + 1];
    unsigned current;
    bool next_is_probe;
    bool alive; /* /livez has said so */
    struct wire wires[WIRES];
    uint8_t redis, fresh;
    struct pulse pulses[2];
    struct snapshot *snapshot; /* the last one */
    struct worker *worker;
    struct http_sockets *sockets;
    struct mailbox *watcher;
    uint64_t index;
    int64_t control_ms, asked_ms; /* since when the end is waited for, and /livez */
    unsigned kernel_waits;
    enum { PLAYING, LETTING_GO, CONTROLLING, ENDED } phase;
} stage;

static uint8_t next(void)
{
    return outside_next(&stage.input);
}

/* ---- snapshots and the watcher's answers ---- */

static struct address node(unsigned n, uint16_t port)
{
    struct address address = {.port = port};

    (void)snprintf(address.host, sizeof(address.host), "10.0.1.%u", n);
    return address;
}

static struct snapshot_master *make_master(const char *name, unsigned how)
{
    static const enum master_state states[] = {MASTER_OK, MASTER_OK, MASTER_FAILING_OVER,
                                               MASTER_UNKNOWN};
    struct snapshot_master *master = snapshot_master_new(name);

    master->state = states[how >> 2 & 3];
    master->reason = master->state == MASTER_OK ? REASON_NONE : REASON_REDIS_TIMEOUT;
    master->detail = mem_strdup("as the input has it");
    master->has_address = master->state != MASTER_UNKNOWN;
    master->verified = master->majority = master->state == MASTER_OK;
    master->config_epoch = 1 + how;
    master->index = stage.index;
    master->revision = stage.index;
    master->since_wall_ms = INT64_C(1795348800123);
    master->quorum = 2;
    master->known = master->reachable = master->agreeing = 3;
    master->voters_needed = 2;
    master->address = master->ip = node(1 + (how & 1), 6379);
    master->switches = how & 1;
    master->fence = (how & 32) != 0 ? FENCE_UP : FENCE_DOWN;
    master->n_replicas = 1;
    master->replicas = mem_new(1, sizeof(*master->replicas));
    master->replicas[0].address = node(2 - (how & 1), 6379);
    master->replicas[0].healthy = master->replicas[0].link_up = (how & 64) == 0;
    master->replicas[0].lag_bytes = 10;
    master->replicas[0].lag_at_ms = clock_boot_ms();
    return master;
}

static void post_snapshot(uint8_t how)
{
    struct snapshot *snapshot = snapshot_new(2);

    snapshot->index = ++stage.index;
    snapshot->n_masters = 2;
    snapshot->masters[0] = make_master("mymaster", how);
    snapshot->masters[1] = make_master("other", 12);
    snapshot->default_name = (how & 128) != 0 ? NULL : mem_strdup("mymaster");
    snapshot->ambiguous_default = (how & 128) != 0;
    snapshot->any_sentinel_reachable = snapshot->all_resolved = true;
    snapshot->pulse = &stage.pulses[0];
    snapshot_unref(stage.snapshot);
    stage.snapshot = snapshot;
    mailbox_post(worker_mailbox(stage.worker), message_snapshot_new(snapshot));
}

static void post_event(void)
{
    struct message_event event = {.wall_ms = 1795348800123};

    (void)snprintf(event.master, sizeof(event.master), "mymaster");
    (void)snprintf(event.sentinel, sizeof(event.sentinel), "10.0.0.1:26379");
    (void)snprintf(event.channel, sizeof(event.channel), "+sdown");
    (void)snprintf(event.detail, sizeof(event.detail), "master mymaster 10.0.1.1 6379");
    mailbox_post(worker_mailbox(stage.worker), message_event_new(&event));
}

static void asked(void *data, struct message *message)
{
    bool silent = (stage.fresh & 2) != 0;

    (void)data;
    if (message->kind == MESSAGE_ASK_FRESH && !silent) {
        const struct message_ask_fresh *ask = (struct message_ask_fresh *)(void *)message;

        mailbox_post(ask->reply_to,
                     message_fresh_new(ask->ticket, (stage.fresh & 1) == 0,
                                       stage.fresh & 1 ? REASON_REDIS_TIMEOUT : REASON_NONE, ""));
    } else if (message->kind == MESSAGE_ASK_LAG && !silent) {
        const struct message_ask_lag *ask = (struct message_ask_lag *)(void *)message;

        if (ask->reply_to) {
            mailbox_post(ask->reply_to, message_fresh_new(ask->ticket, true, REASON_NONE, ""));
        }
    } else if (message->kind == MESSAGE_ASK_STATUS && !silent && stage.snapshot) {
        const struct message_ask_status *ask = (struct message_ask_status *)(void *)message;

        mailbox_post(ask->reply_to,
                     message_status_new(
                         ask->ticket, status_report_of_snapshot(stage.snapshot, clock_wall_ms())));
    }
    message->drop(message);
}

/* ---- Redis ---- */

#define ENTRY(size, name, flag, category) \
    "*10\r\n$" size "\r\n" name "\r\n:-1\r\n*1\r\n+" flag \
    "\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@" category "\r\n" \
    "*0\r\n*0\r\n*0\r\n"
#define TABLE \
    "*5\r\n" ENTRY("3", "get", "readonly", "read") ENTRY("3", "set", "write", "write") \
        ENTRY("4", "incr", "write", "write") ENTRY("5", "multi", "fast", "transaction") \
            ENTRY("6", "config", "admin", "admin")

static void say(struct wire *wire, const char *text, size_t size)
{
    if (size > 0 && send(wire->fd, text, size, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
        wire_close(wire);
    }
}

static void say_text(struct wire *wire, const char *text)
{
    say(wire, text, strlen(text));
}

static void say_reply(struct wire *wire)
{
    static const char *const replies[] = {
        "+OK\r\n",
        "$5\r\nvalue\r\n",
        ":1\r\n",
        "_\r\n",
        "-ERR it failed\r\n",
        "-READONLY You can't write against a read only replica.\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-MOVED 1 10.0.1.2:6379\r\n",
        "-EXECABORT Transaction discarded because of previous errors.\r\n",
        "-NOPERM this user has no permissions to run the 'get' command\r\n",
        "*2\r\n%1\r\n+k\r\n,1.5\r\n~1\r\n#t\r\n",
        ">2\r\n+invalidate\r\n_\r\n+OK\r\n",
        "=8\r\ntxt:\xff\xfe\xfd\x01\r\n",
        "$-7\r\nnonsense",
        "+OK\r\n+OK\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n$-1\r\n",
    };

    say_text(wire, replies[stage.redis & 15]);
}

static void answer(struct wire *wire, const char *name)
{
    if (strcasecmp(name, "HELLO") == 0) {
        say_text(wire, "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n");
    } else if (strcasecmp(name, "COMMAND") == 0) {
        say_text(wire, (stage.redis & 64) != 0 ? "-NOPERM no\r\n" : TABLE);
    } else if ((stage.redis & 32) != 0 && (stage.redis & 16) != 0) { /* hangs up */
        wire_close(wire);
    } else if ((stage.redis & 32) != 0) {
        return; /* silence */
    } else if (strcasecmp(name, "MULTI") == 0) {
        say_text(wire, "+OK\r\n");
    } else if (strcasecmp(name, "EXEC") == 0 && stage.redis < 4) {
        say_text(wire, "*1\r\n");
        say_reply(wire);
    } else {
        say_reply(wire);
    }
}

static void serve(struct wire *wire)
{
    char words[WIRE_WORDS][WIRE_WORD];

    if (!wire_hear(wire)) {
        wire_close(wire);
    }
    while (wire->fd >= 0 && wire_take(wire, words)) {
        answer(wire, words[0]);
    }
}

/* ---- clients ---- */

static void dial(struct client *client, bool probe)
{
    const struct address *address = http_sockets_address(stage.sockets, probe);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    long failure;

    to.sin_port = htons(address->port);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    do { /* libFuzzer's alarm may interrupt it: then it goes on */
        failure = syscall(SYS_connect, client->fd, &to, sizeof(to));
    } while (failure != 0 && errno == EINTR);
    if (failure != 0 && errno != EISCONN) {
        outside_broken("cannot connect", strerror(errno));
    }
    client->gone = client->blind = client->may_head = client->closed = false;
    client->probe = probe;
}

static void send_bytes(struct client *client, const char *bytes, size_t size)
{
    if (size == 0 || client->gone) {
        return;
    }
    if (client->fd < 0) {
        client_hold(client);
        dial(client, stage.next_is_probe);
        stage.next_is_probe = false;
    }
    buffer_add(&client->said, bytes, size);
    if (send(client->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size) {
        client->gone = true; /* it was not read */
    }
    client->may_head = memmem(client->said.bytes, client->said.size, "HEAD ", 5) != NULL;
}

/* No TIME_WAIT is left behind: the ports are few. */
static void hang_up(struct client *client, bool reset)
{
    const struct linger now = {.l_onoff = 1};

    if (client->fd >= 0) {
        if (reset) {
            (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        }
        close(client->fd);
        client->fd = -1;
    }
}

static void leave(struct client *client, bool reset)
{
    client->gone = client->gone || client->fd >= 0;
    hang_up(client, reset);
    client_hold(client);
    client->gone = false;
}

static void hear(struct client *client)
{
    char bytes[16384];
    /* the kernel's clock goes on as always: to it a delayed acknowledgement takes no time */
    const int at_once = 1;
    ssize_t n = 1;

    while (client->fd >= 0 && !client->blind && n > 0) {
        n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n > 0) {
            buffer_add(&client->heard, bytes, (size_t)n);
            (void)setsockopt(client->fd, IPPROTO_TCP, TCP_QUICKACK, &at_once, sizeof(at_once));
            stage.alive = client == &stage.clients[CONTROL] && client->heard.size > strlen(ALIVE) &&
                          memcmp(client->heard.bytes, ALIVE, strlen(ALIVE)) == 0;
        } else if (n == 0 || errno != EAGAIN) {
            client->closed = true;
            client->gone = client->gone || n < 0;
            hang_up(client, true);
            client_hold(client);
            client->gone = false;
            n = 0;
        }
    }
    if (client->heard.size > ANSWERS_MAX) {
        outside_broken("no end of an answer", "");
    }
}

/* ---- the program ---- */

/* Up to the next instruction. */
static void send_piece(void)
{
    const uint8_t *end =
        stage.input.size > 0 ? memchr(stage.input.data, 0xff, stage.input.size) : NULL;
    size_t n = end ? (size_t)(end - stage.input.data) : stage.input.size;

    send_bytes(&stage.clients[stage.current], (const char *)stage.input.data, n);
    stage.input.data += n;
    stage.input.size -= n;
}

/* @return how much time passes. */
static int64_t instruct(void)
{
    struct client *client = &stage.clients[stage.current];
    const char escaped[2] = {(char)0xff, stage.input.size > 1 ? (char)stage.input.data[1] : ' '};

    (void)next();
    switch (next()) {
    case '0': stage.current = 0; break;
    case '1': stage.current = 1; break;
    case '2': stage.current = 2; break;
    case '3': stage.current = 3; break;
    case 0:
    case ' ': break;
    case 'p': stage.next_is_probe = true; break;
    case 'h':
        if (client->fd >= 0) {
            (void)shutdown(client->fd, SHUT_WR);
            client->gone = true; /* half closed is closed, to some */
        }
        break;
    case 'r': leave(client, true); break;
    case 'c': leave(client, false); break;
    case 'u': client->blind = !client->blind; break;
    case 'w': return 100 * (int64_t)next();
    case 's': post_snapshot(next()); break;
    case 'e': post_event(); break;
    case 'q': stage.redis = next(); break;
    case 'f': stage.fresh = next(); break;
    case 'd': mailbox_post(worker_mailbox(stage.worker), message_plain_new(MESSAGE_DRAIN)); break;
    default: send_bytes(client, escaped, 2); break;
    }
    return 0;
}

static void let_go(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        leave(&stage.clients[i], true);
    }
    stage.redis = stage.fresh = 0;
    stage.phase = LETTING_GO;
    stage.control_ms = outside_now_ms();
}

static bool nothing_is_kept(void)
{
    const struct connections *connections = stage.worker->connections;

    return connections->silent.n == 0 && connections->leaving.n == 0 &&
           connections->inside.n == 0 && connections->n_refused == 0 &&
           !connections->readers.first && stage.worker->in_flight == 0 &&
           *http_sockets_open_count(stage.sockets, false) == 0 &&
           *http_sockets_open_count(stage.sockets, true) == 0 &&
           *http_sockets_waiting_count(stage.sockets) == 0 &&
           *http_sockets_open_waiting_count(stage.sockets) == 0 &&
           *http_sockets_pending_count(stage.sockets) == 0;
}

static void control(void)
{
    struct client *client = &stage.clients[CONTROL];
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

    stage.next_is_probe = true;
    send_bytes(client, request, sizeof(request) - 1);
    stage.phase = CONTROLLING;
    stage.asked_ms = outside_now_ms();
}

static bool kernel_may_need_time(void)
{
    const struct timespec some = {.tv_nsec = 10000000};

    (void)nanosleep(&some, NULL);
    return ++stage.kernel_waits <= KERNEL_WAITS;
}

static bool patient(void)
{
    return outside_now_ms() - stage.control_ms <= PATIENCE_MS || kernel_may_need_time();
}

static void turn(void *data)
{
    (void)data;
    for (unsigned i = 0; i < WIRES; i++) {
        if (stage.wires[i].fd >= 0) {
            serve(&stage.wires[i]);
        }
    }
    for (unsigned i = 0; i <= CONTROL; i++) {
        hear(&stage.clients[i]);
    }
}

static void beat(void)
{
    atomic_store(&stage.pulses[0].at_boot_ms, outside_now_ms() + 600000);
}

static int64_t idle(void *data, int64_t wait_ms)
{
    int64_t most_ms = wait_ms < 0 ? 1000 : wait_ms;

    (void)data;
    beat();
    switch (stage.phase) {
    case PLAYING:
        if (stage.input.size > 0 && *stage.input.data != 0xff) {
            send_piece();
            return 0;
        }
        if (stage.input.size > 0) {
            int64_t asked_ms = instruct();

            return asked_ms < most_ms ? asked_ms : most_ms;
        }
        let_go();
        return 0;
    case LETTING_GO:
        if (nothing_is_kept()) {
            stage.control_ms = outside_now_ms();
            control();
            return 0;
        }
        if (!patient()) {
            outside_broken("something is kept of connections that are gone", "");
        }
        break;
    case CONTROLLING:
        if (stage.alive) {
            leave(&stage.clients[CONTROL], true);
            stage.phase = ENDED;
            mailbox_post(worker_mailbox(stage.worker), message_plain_new(MESSAGE_STOP));
            return 0;
        }
        if (stage.clients[CONTROL].fd < 0 && kernel_may_need_time() &&
            outside_now_ms() - stage.asked_ms >= REQUEST_TIMEOUT_MS) {
            control(); /* it came too late for the worker's clock */
            return 0;
        }
        if (!patient()) {
            client_broken(&stage.clients[CONTROL], "/livez is not 200");
        }
        break;
    default: break;
    }
    return most_ms;
}

static int dialled(void *data, const struct address *to, int fd)
{
    (void)data;
    for (unsigned i = 0; i < WIRES && to->port == 6379; i++) {
        if (stage.wires[i].fd < 0) {
            stage.wires[i].fd = fd;
            return 0;
        }
    }
    return ECONNREFUSED;
}

/* ---- an input ---- */

static void stage_begin(const struct http_config *config)
{
    char error[320];

    for (unsigned i = 0; i < WIRES; i++) {
        stage.wires[i].fd = -1;
    }
    for (unsigned i = 0; i <= CONTROL; i++) {
        stage.clients[i].fd = -1;
    }
    stage.sockets = http_sockets_open(config, error, sizeof(error));
    if (!stage.sockets) {
        outside_broken("no sockets", error);
    }
}

static void stage_run(const struct http_config *config)
{
    stage.worker = worker_new(config, &http_routes, stage.sockets, 0, NULL, &stage.pulses[1]);
    stage.watcher = mailbox_new(stage.worker->loop, asked, NULL);
    stage.worker->ask_to = stage.watcher;
    if (worker_open(stage.worker)) {
        outside_broken("the worker does not open", "");
    }
    beat();
    post_snapshot(0);
    (void)worker_run(stage.worker);
    mailbox_free(stage.watcher);
    worker_free(stage.worker);
    http_sockets_free(stage.sockets);
    snapshot_unref(stage.snapshot);
    for (unsigned i = 0; i < WIRES; i++) {
        wire_close(&stage.wires[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct outside_hooks hooks = {
        .turn = turn, .settle = loopback_settle, .idle = idle, .dialled = dialled};
    static const char *const names[] = {"x", "test"};
    char error[256];
    struct http_listen listens[] = {{.scope = HTTP_SCOPE_ALL}, {.scope = HTTP_SCOPE_PROBE}};
    struct redis_login login = {.password = secret_new(NULL, NULL, error, sizeof(error))};
    struct policy *policy = policy_parse(POLICY_DEFAULT, error, sizeof(error));
    struct pool_config pool = {.size = 2,
                               .command_timeout_ms = 1000,
                               .connect_timeout_ms = 500,
                               .max_pending = 8,
                               .max_reply_bytes = 1 << 16,
                               .replica_max_lag_bytes = -1,
                               .policy = policy,
                               .logins = &login,
                               .n_logins = 1};
    struct http_config config = {.listens = listens,
                                 .n_listens = 2,
                                 .max_connections = 3,
                                 .max_waiters = 2,
                                 .n_workers = 1,
                                 .idle_timeout_ms = 5000,
                                 .request_timeout_ms = REQUEST_TIMEOUT_MS,
                                 .allow_hosts = names,
                                 .n_allow_hosts = 2,
                                 .max_body_bytes = 1000,
                                 .poll_wait_ms = 1000,
                                 .ready_when = READY_WHEN_RESOLVED,
                                 .pulses = stage.pulses,
                                 .redis_api = REDIS_API_LOOPBACK,
                                 .pool = &pool};

    log_configure(getenv("FUZZ_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    memset(&stage, 0, sizeof(stage));
    stage.input = (struct outside_input){data, size};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(listens[i].place.address.host, sizeof(listens[i].place.address.host),
                       "127.0.0.1");
    }
    loopback_open();
    stage_begin(&config);
    outside_begin(&hooks, NULL);
    stage_run(&config);
    outside_end();
    policy_free(policy);
    secret_free((struct secret *)(uintptr_t)login.password);
    return 0;
}
