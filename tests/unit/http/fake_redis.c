/*
 * The fake's thread: poll() over its connections, hiredis' reader for what comes, text for what
 * goes.
 */
#include "fake_redis.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <hiredis/hiredis.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/buffer.h"
#include "bellwether/base/memory.h"

enum { CONNECTIONS_MAX = 64, TICK_MS = 2 };

struct connection {
    int fd; /* 0: none */
    redisReader *reader;
    struct buffer out;
    size_t hanging;
    bool in_multi, bad_multi, closing;
    struct buffer multi; /* replies of its members */
    size_t members;
};

struct fake_redis {
    int listening;
    pthread_t thread;
    _Atomic bool stop, released;
    _Atomic size_t hanging;
    struct connection connections[CONNECTIONS_MAX];
};

/* ---- replies ---- */

static void add_bulk(struct buffer *out, const char *bytes, size_t size)
{
    char head[32];

    snprintf(head, sizeof(head), "$%zu\r\n", size);
    buffer_add_text(out, head);
    buffer_add(out, bytes, size);
    buffer_add_text(out, "\r\n");
}

static void add_count(struct buffer *out, size_t n)
{
    char head[32];

    snprintf(head, sizeof(head), "*%zu\r\n", n);
    buffer_add_text(out, head);
}

static void add_entry(struct buffer *out, const char *name, const char *flag, const char *category)
{
    char entry[160];

    snprintf(entry, sizeof(entry),
             "*7\r\n$%zu\r\n%s\r\n:-1\r\n*1\r\n+%s\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@%s\r\n",
             strlen(name), name, flag, category);
    buffer_add_text(out, entry);
}

static void add_table(struct buffer *out)
{
    static const char *const rows[][3] = {
        {"get", "readonly", "read"},      {"args", "readonly", "read"},
        {"big", "readonly", "read"},      {"set", "write", "write"},
        {"fail", "write", "write"},       {"hang", "write", "write"},
        {"drop", "write", "write"},       {"config", "admin", "admin"},
        {"multi", "fast", "transaction"}, {"blpop", "blocking", "list"},
        {"scan", "readonly", "keyspace"}, {"subscribe", "pubsub", "pubsub"}};

    add_count(out, sizeof(rows) / sizeof(rows[0]));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        add_entry(out, rows[i][0], rows[i][1], rows[i][2]);
    }
}

static void add_value(struct buffer *out, const char *key, size_t size)
{
    char value[300];

    if (strcmp(key, "none") == 0) {
        buffer_add_text(out, "$-1\r\n");
    } else if (strcmp(key, "number") == 0) {
        buffer_add_text(out, ":9007199254740993\r\n");
    } else {
        snprintf(value, sizeof(value), "value of %.*s", (int)size, key);
        add_bulk(out, value, strlen(value));
    }
}

static void add_big(struct buffer *out, size_t size)
{
    char *bytes = mem_new(size + 1, 1);

    memset(bytes, 'x', size);
    add_bulk(out, bytes, size);
    free(bytes);
}

/* ---- commands ---- */

static void run(struct buffer *out, const redisReply *command)
{
    const char *name = command->element[0]->str;
    const redisReply *first = command->elements > 1 ? command->element[1] : NULL;

    if (strcasecmp(name, "hello") == 0) {
        buffer_add_text(out, "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n");
    } else if (strcasecmp(name, "command") == 0) {
        add_table(out);
    } else if (strcasecmp(name, "get") == 0 && first) {
        add_value(out, first->str, first->len);
    } else if (strcasecmp(name, "args") == 0) {
        add_count(out, command->elements - 1);
        for (size_t i = 1; i < command->elements; i++) {
            add_bulk(out, command->element[i]->str, command->element[i]->len);
        }
    } else if (strcasecmp(name, "big") == 0 && first) {
        add_big(out, strtoul(first->str, NULL, 10));
    } else if (strcasecmp(name, "fail") == 0) {
        buffer_add_text(out, "-ERR it failed\r\n");
    } else if (strcasecmp(name, "subscribe") == 0 && first) {
        add_count(out, 3);
        add_bulk(out, "subscribe", strlen("subscribe"));
        add_bulk(out, first->str, first->len);
        buffer_add_text(out, ":1\r\n");
    } else if (strcasecmp(name, "info") == 0) {
        add_bulk(out, "run_id:a\r\n", strlen("run_id:a\r\n"));
    } else if (strcasecmp(name, "scan") == 0 && first) {
        bool begins = strtoul(first->str, NULL, 10) == 0;

        add_count(out, 2);
        add_bulk(out, begins ? "5" : "0", 1);
        add_count(out, 1);
        add_bulk(out, begins ? "a" : first->str, begins ? 1 : first->len);
    } else {
        buffer_add_text(out, "+OK\r\n");
    }
}

static void end_multi(struct connection *connection)
{
    if (connection->bad_multi) {
        buffer_add_text(&connection->out,
                        "-EXECABORT Transaction discarded because of previous errors.\r\n");
    } else {
        add_count(&connection->out, connection->members);
        buffer_add(&connection->out, connection->multi.bytes, connection->multi.size);
    }
    buffer_release(&connection->multi);
    connection->members = 0;
    connection->in_multi = connection->bad_multi = false;
}

static void take_member(struct connection *connection, const redisReply *command)
{
    if (strcasecmp(command->element[0]->str, "exec") == 0) {
        end_multi(connection);
    } else if (strcasecmp(command->element[0]->str, "fail") == 0) {
        connection->bad_multi = true;
        buffer_add_text(&connection->out, "-ERR it failed\r\n");
    } else {
        connection->members++;
        run(&connection->multi, command);
        buffer_add_text(&connection->out, "+QUEUED\r\n");
    }
}

static void take(struct fake_redis *fake, struct connection *connection, const redisReply *command)
{
    const char *name = command->elements > 0 ? command->element[0]->str : "";

    if (connection->in_multi) {
        take_member(connection, command);
    } else if (strcasecmp(name, "multi") == 0) {
        connection->in_multi = true;
        buffer_add_text(&connection->out, "+OK\r\n");
    } else if (strcasecmp(name, "drop") == 0) {
        connection->closing = true;
    } else if (strcasecmp(name, "hang") == 0 && !atomic_load(&fake->released)) {
        connection->hanging++;
        atomic_fetch_add(&fake->hanging, 1);
    } else {
        run(&connection->out, command);
    }
}

/* ---- connections ---- */

static void close_connection(struct fake_redis *fake, struct connection *connection)
{
    atomic_fetch_sub(&fake->hanging, connection->hanging);
    close(connection->fd);
    redisReaderFree(connection->reader);
    buffer_release(&connection->out);
    buffer_release(&connection->multi);
    *connection = (struct connection){0};
}

/* Replies come in order: behind a command that hangs all wait. */
static void take_all(struct fake_redis *fake, struct connection *connection)
{
    void *reply = NULL;

    while (!connection->closing && connection->hanging == 0 &&
           redisReaderGetReply(connection->reader, &reply) == REDIS_OK && reply) {
        take(fake, connection, reply);
        freeReplyObject(reply);
        reply = NULL;
    }
}

static void read_some(struct fake_redis *fake, struct connection *connection)
{
    char bytes[1 << 14];
    ssize_t n = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n == 0) {
        close_connection(fake, connection);
        return;
    }
    if (n > 0) {
        redisReaderFeed(connection->reader, bytes, (size_t)n);
    }
    take_all(fake, connection);
}

/*
 * What the fake holds is not the worker's memory. @param counted whether it counts; else it does no
 * longer.
 */
static void count_out(const struct connection *connection, bool counted)
{
    int64_t bytes = (int64_t)malloc_usable_size(connection->out.bytes);

    budget_count(counted ? bytes : -bytes);
}

static void write_some(struct fake_redis *fake, struct connection *connection)
{
    size_t sent = 0;

    count_out(connection, false);
    while (sent < connection->out.size) {
        ssize_t n = send(connection->fd, connection->out.bytes + sent, connection->out.size - sent,
                         MSG_NOSIGNAL);

        if (n <= 0) {
            connection->closing = true;
            break;
        }
        sent += (size_t)n;
    }
    count_out(connection, true);
    buffer_release(&connection->out);
    if (connection->closing) {
        close_connection(fake, connection);
    }
}

static void let_go(struct fake_redis *fake, struct connection *connection)
{
    if (connection->fd && connection->hanging > 0 && atomic_load(&fake->released)) {
        buffer_add_text(&connection->out, "+OK\r\n");
        connection->hanging--;
        atomic_fetch_sub(&fake->hanging, 1);
        take_all(fake, connection);
    }
}

static void accept_one(struct fake_redis *fake)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (fake->connections[i].fd == 0) {
            fake->connections[i].fd = accept(fake->listening, NULL, NULL);
            fake->connections[i].reader = redisReaderCreate();
            return;
        }
    }
}

static void *serve(void *data)
{
    struct fake_redis *fake = data;

    while (!atomic_load(&fake->stop)) {
        struct pollfd polled[CONNECTIONS_MAX + 1] = {{.fd = fake->listening, .events = POLLIN}};

        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            polled[i + 1] = (struct pollfd){
                .fd = fake->connections[i].fd ? fake->connections[i].fd : -1, .events = POLLIN};
        }
        poll(polled, CONNECTIONS_MAX + 1, TICK_MS);
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            struct connection *connection = &fake->connections[i];

            if (polled[i + 1].revents) {
                read_some(fake, connection);
            }
            let_go(fake, connection);
            if (connection->fd) {
                write_some(fake, connection);
            }
        }
        if (polled[0].revents) {
            accept_one(fake);
        }
    }
    return NULL;
}

/* ---- life ---- */

struct fake_redis *fake_redis_start(void)
{
    struct fake_redis *fake = mem_new(1, sizeof(*fake));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    fake->listening = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fake->listening, (struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(fake->listening, 16), 0);
    cr_assert_eq(pthread_create(&fake->thread, NULL, serve, fake), 0);
    return fake;
}

struct address fake_redis_address(const struct fake_redis *fake)
{
    struct sockaddr_in at;
    struct address address = {.host = "127.0.0.1"};
    socklen_t len = sizeof(at);

    cr_assert_eq(getsockname(fake->listening, (struct sockaddr *)&at, &len), 0);
    address.port = ntohs(at.sin_port);
    return address;
}

size_t fake_redis_hanging(struct fake_redis *fake)
{
    return atomic_load(&fake->hanging);
}

void fake_redis_release(struct fake_redis *fake)
{
    atomic_store(&fake->released, true);
}

void fake_redis_stop(struct fake_redis *fake)
{
    atomic_store(&fake->stop, true);
    pthread_join(fake->thread, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (fake->connections[i].fd) {
            close_connection(fake, &fake->connections[i]);
        }
    }
    close(fake->listening);
    free(fake);
}
