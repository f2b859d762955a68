/*
 * Fake peers. One thread and one poll loop each; the test and the thread share the words and the
 * counts under one mutex. RESP3 is spoken from the start: the daemon says HELLO 3 first.
 */
#include "fake.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ports.h"
#include "scene.h"

enum { FAKE_PEERS = 64, FAKE_HEARD = 1 << 17, FAKE_BUFFER = 1 << 18 };

struct peer {
    int fd; /* -1: free */
    bool subscribed, muted;
    char bytes[FAKE_BUFFER];
    size_t n;
};

struct fake {
    enum fake_kind kind;
    uint16_t port;
    char *address;
    int listener, stop[2];
    pthread_t thread;
    pthread_mutex_t mutex;
    struct fake_words words; /* under the mutex, like all below */
    unsigned accepted;
    size_t backlog; /* bytes */
    char *heard[FAKE_HEARD];
    size_t n_heard;
    struct peer peers[FAKE_PEERS];
    FILE *out; /* what is being said */
    char *out_bytes;
    size_t out_size;
};

/* What is said is gathered and sent as one piece, at the end of a turn. */
static void say(struct fake *fake, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct fake *fake, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vfprintf(fake->out, format, arguments);
    va_end(arguments);
}

static void send_said(struct fake *fake, int fd)
{
    (void)fflush(fake->out);
    for (size_t sent = 0; sent < fake->out_size;) {
        const ssize_t n = send(fd, fake->out_bytes + sent, fake->out_size - sent, MSG_NOSIGNAL);

        if (n <= 0) {
            break;
        }
        sent += (size_t)n;
    }
    rewind(fake->out);
}

static void say_word(struct fake *fake, const char *word)
{
    say(fake, "$%zu\r\n%s\r\n", strlen(word), word);
}

static void say_pair(struct fake *fake, const char *key, const char *value)
{
    say_word(fake, key);
    say_word(fake, value);
}

static void say_hello(struct fake *fake)
{
    const struct fake_words *words = &fake->words;

    if (words->hello_bytes) {
        say(fake, "%s", words->hello_bytes);
        return;
    }
    if (words->hello_error) {
        say(fake, "-%s\r\n", words->hello_error);
        return;
    }
    say(fake, "%%4\r\n");
    say_pair(fake, "server", "redis");
    say_pair(fake, "version", "7.0.15");
    say_pair(fake, "mode", fake->kind == FAKE_SENTINEL ? "sentinel" : "standalone");
    say_pair(fake, "role", fake->kind == FAKE_SENTINEL ? "sentinel" : words->role);
}

static bool moved(const struct fake_words *words, const char *name)
{
    return words->moved_name && strcmp(words->moved_name, name) == 0;
}

static void say_row(struct fake *fake, const char *name)
{
    const struct fake_words *words = &fake->words;
    char epoch[24], others[24];

    (void)snprintf(epoch, sizeof(epoch), "%lld", words->epoch + moved(words, name));
    (void)snprintf(others, sizeof(others), "%zu", words->n_others);
    say(fake, "%%%d\r\n", words->failover_state ? 10 : 9);
    say_pair(fake, "name", name);
    say_pair(fake, "ip", words->master_host);
    say_pair(fake, "port", moved(words, name) ? words->moved_port : words->master_port);
    say_pair(fake, "runid", "");
    say_pair(fake, "flags", words->flags ? words->flags : "master");
    say_pair(fake, "config-epoch", epoch);
    say_pair(fake, "num-other-sentinels", others);
    say_pair(fake, "quorum", "1");
    say_pair(fake, "failover-timeout", "5000");
    if (words->failover_state) {
        say_pair(fake, "failover-state", words->failover_state);
    }
}

static void say_others(struct fake *fake)
{
    const struct fake_words *words = &fake->words;

    say(fake, "*%zu\r\n", words->n_others);
    for (size_t i = 0; i < words->n_others; i++) {
        say(fake, "%%5\r\n");
        say_pair(fake, "name", words->others[i].run_id);
        say_pair(fake, "ip", "127.0.0.1");
        say_pair(fake, "port", words->others[i].port);
        say_pair(fake, "runid", words->others[i].run_id);
        say_pair(fake, "flags", "sentinel");
    }
}

static void say_replica(struct fake *fake, const char *host, const char *port)
{
    say(fake, "%%5\r\n");
    say_pair(fake, "name", port);
    say_pair(fake, "ip", host);
    say_pair(fake, "port", port);
    say_pair(fake, "flags", fake->words.replica_flags ? fake->words.replica_flags : "slave");
    say_pair(fake, "master-link-status", "ok");
}

static void say_replicas(struct fake *fake, const char *name)
{
    const struct fake_words *words = &fake->words;
    const size_t n = name == words->master_name ? words->n_replicas : 0;

    say(fake, "*%zu\r\n", n + (words->replica_port ? 1 : 0));
    if (words->replica_port) {
        say_replica(fake, "127.0.0.1", words->replica_port);
    }
    for (size_t i = 0; i < n; i++) {
        say_replica(fake, words->replicas[i], "6379");
    }
}

/* The name as it is kept, or NULL. */
static const char *known_name(const struct fake_words *words, const char *name)
{
    if (!words->master_host || !name) {
        return NULL;
    }
    if (words->master_name && strcasecmp(name, words->master_name) == 0) {
        return words->master_name;
    }
    for (size_t i = 0; i < words->n_names; i++) {
        if (strcasecmp(name, words->names[i]) == 0) {
            return words->names[i];
        }
    }
    return NULL;
}

static void sentinel_answer(struct fake *fake, const char *command, const char *given)
{
    const struct fake_words *words = &fake->words;
    const char *name = known_name(words, given);

    if (strcmp(command, "SENTINEL MYID") == 0 && words->myid_error) {
        say(fake, "-%s\r\n", words->myid_error);
    } else if (strcmp(command, "SENTINEL MYID") == 0) {
        say_word(fake, words->run_id);
    } else if (strcmp(command, "SENTINEL GET-MASTER-ADDR-BY-NAME") == 0 && !name) {
        say(fake, "_\r\n");
    } else if (strcmp(command, "SENTINEL GET-MASTER-ADDR-BY-NAME") == 0) {
        say(fake, "*2\r\n");
        say_pair(fake, words->master_host,
                 moved(words, name) ? words->moved_port : words->master_port);
    } else if (strcmp(command, "SENTINEL MASTERS") == 0) {
        const size_t own = words->master_host && words->master_name ? 1 : 0;

        say(fake, "*%zu\r\n", !words->master_host ? 0 : own + words->n_names);
        if (own != 0) {
            say_row(fake, words->master_name);
        }
        for (size_t i = 0; words->master_host && i < words->n_names; i++) {
            say_row(fake, words->names[i]);
        }
    } else if (!name) {
        say(fake, "-ERR No such master with that name\r\n");
    } else if (strcmp(command, "SENTINEL MASTER") == 0) {
        say_row(fake, name);
    } else if (strcmp(command, "SENTINEL SENTINELS") == 0) {
        say_others(fake);
    } else if (strcmp(command, "SENTINEL REPLICAS") == 0) {
        say_replicas(fake, name);
    } else if (strcmp(command, "SENTINEL CKQUORUM") == 0) {
        say(fake, "+OK 1 usable Sentinels. Quorum and failover authorization can be reached\r\n");
    } else {
        say(fake, "*0\r\n");
    }
}

/* A command matches as a whole word: SENTINEL MASTER is not SENTINEL MASTERS. */
static bool is_command(const char *whole, const char *command)
{
    const size_t n = !command ? 0 : strlen(command);

    return n > 0 && strncmp(whole, command, n) == 0 && (whole[n] == '\0' || whole[n] == ' ');
}

static void answer(struct fake *fake, struct peer *peer, const char *whole, const char *command,
                   const char *name)
{
    const struct fake_words *words = &fake->words;

    if (fake->n_heard < FAKE_HEARD) {
        fake->heard[fake->n_heard++] = strdup(whole);
    }
    peer->muted = peer->muted || is_command(whole, words->mute);
    if (words->stall || peer->muted) {
        return;
    }
    if (strcmp(command, "HELLO") == 0) {
        say_hello(fake);
    } else if (words->flood) {
        say(fake, "%s", words->flood);
    } else if (words->deny && strncmp(whole, words->deny, strlen(words->deny)) == 0) {
        say(fake, "-NOPERM this user has no permissions to run the '%s' command\r\n", words->deny);
    } else if (words->loading) {
        say(fake, "-LOADING Redis is loading the dataset in memory\r\n");
    } else if (strcmp(command, "PING") == 0) {
        say(fake, "+PONG\r\n");
    } else if (strcmp(command, "PSUBSCRIBE") == 0) {
        peer->subscribed = true;
        say(fake, ">3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n");
    } else if (strcmp(command, "INFO") == 0) {
        say(fake, "$22\r\n# Sentinel\r\nsentinel:1\r\n");
    } else if (fake->kind == FAKE_SENTINEL && strncmp(command, "SENTINEL ", 9) == 0) {
        sentinel_answer(fake, command, name);
    } else {
        say(fake, "-ERR unknown command\r\n");
    }
}

/*
 * One command out of the buffer, as "WORD WORD ..." in upper case. @return bytes used, 0: not whole
 * yet.
 */
static size_t take_command(struct fake *fake, struct peer *peer, const char *bytes)
{
    const char *const stop = peer->bytes + peer->n;
    char *end = NULL, whole[1024] = "", command[256] = "", name[256] = "";

    if (bytes[0] != '*') {
        return (size_t)(stop - bytes); /* not RESP: dropped */
    }
    const long words = strtol(bytes + 1, &end, 10);
    if (words == 0) {
        return 0;
    }
    for (long i = 0; i < words; i++) {
        const char *dollar = strchr(end, '$');

        if (!dollar) {
            return 0;
        }
        const size_t length = strtoul(dollar + 1, &end, 10);
        end += 2;
        if (length > 200 || end + length + 2 > stop) {
            return 0;
        }
        char word[201];
        (void)snprintf(word, sizeof(word), "%.*s", (int)length, end);
        if (i == 2) {
            (void)snprintf(name, sizeof(name), "%s", word);
        }
        for (char *c = word; *c != '\0'; c++) {
            *c = (char)toupper((unsigned char)*c);
        }
        (void)snprintf(whole + strlen(whole), sizeof(whole) - strlen(whole), "%s%s",
                       i == 0 ? "" : " ", word);
        if (i == 0 || (i == 1 && strcmp(command, "SENTINEL") == 0)) {
            (void)snprintf(command + strlen(command), sizeof(command) - strlen(command), "%s%s",
                           i == 0 ? "" : " ", word);
        }
        end += length;
    }
    answer(fake, peer, whole, command, words > 2 ? name : NULL);
    return (size_t)(end + 2 - bytes);
}

static void greet(struct fake *fake, int fd)
{
    fake->accepted++;
    if (fake->kind == FAKE_HTTP) {
        say(fake, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    } else if (fake->kind == FAKE_GARBAGE) {
        say(fake, "\x01\x02\xff\xfe$-9\r\n*99999999999\r\n%%%%%%:::garbage\r\n");
    } else if (fake->words.greeting) {
        say(fake, "%s", fake->words.greeting);
    }
    send_said(fake, fd);
    if (fake->kind == FAKE_CLOSER || fake->words.greeting || fake->kind == FAKE_HTTP ||
        fake->words.away) {
        (void)close(fd);
        return;
    }
    for (size_t i = 0; i < FAKE_PEERS; i++) {
        if (fake->peers[i].fd < 0) {
            fake->peers[i] = (struct peer){.fd = fd};
            return;
        }
    }
    (void)close(fd);
}

static void hang_up(struct peer *peer)
{
    (void)close(peer->fd);
    peer->fd = -1;
}

/* Answer what is in the buffer, unless that is held. */
static void serve_peer(struct fake *fake, struct peer *peer)
{
    if (fake->words.hold) {
        return;
    }
    size_t at = 0;
    peer->bytes[peer->n] = '\0';
    for (size_t used; at < peer->n && (used = take_command(fake, peer, peer->bytes + at)) > 0;) {
        at += used;
    }
    peer->n -= at;
    memmove(peer->bytes, peer->bytes + at, peer->n);
    send_said(fake, peer->fd);
}

static void read_peer(struct fake *fake, struct peer *peer)
{
    int waiting = 0;

    if (ioctl(peer->fd, FIONREAD, &waiting) == 0 && (size_t)waiting > fake->backlog) {
        fake->backlog = (size_t)waiting;
    }
    const ssize_t got =
        recv(peer->fd, peer->bytes + peer->n, sizeof(peer->bytes) - 1 - peer->n, MSG_DONTWAIT);

    if (got <= 0 && (got == 0 || errno != EAGAIN)) {
        hang_up(peer);
        return;
    }
    peer->n += got > 0 ? (size_t)got : 0;
    if (fake->kind == FAKE_SILENT || fake->kind == FAKE_GARBAGE) {
        peer->n = 0;
        return;
    }
    serve_peer(fake, peer);
}

static void *turn(void *data)
{
    struct fake *fake = data;

    for (;;) {
        struct pollfd wait[FAKE_PEERS + 2] = {{.fd = fake->stop[0], .events = POLLIN},
                                              {.fd = fake->listener, .events = POLLIN}};

        for (size_t i = 0; i < FAKE_PEERS; i++) {
            wait[i + 2] = (struct pollfd){.fd = fake->peers[i].fd, .events = POLLIN};
        }
        if (poll(wait, FAKE_PEERS + 2, -1) < 0) {
            continue;
        }
        char woken;
        if (wait[0].revents != 0 && read(fake->stop[0], &woken, 1) <= 0) {
            return NULL;
        }
        (void)pthread_mutex_lock(&fake->mutex);
        for (size_t i = 0; i < FAKE_PEERS; i++) {
            if (wait[i + 2].revents != 0 && fake->peers[i].fd >= 0) {
                read_peer(fake, &fake->peers[i]);
            }
        }
        if (wait[1].revents != 0) {
            const int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);

            if (fd >= 0) {
                greet(fake, fd);
            }
        }
        (void)pthread_mutex_unlock(&fake->mutex);
    }
}

static void fake_stop(void *object)
{
    struct fake *fake = object;

    (void)close(fake->stop[1]);
    (void)pthread_join(fake->thread, NULL);
    (void)close(fake->stop[0]);
    (void)close(fake->listener);
    (void)fclose(fake->out);
    free(fake->out_bytes);
    for (size_t i = 0; i < FAKE_PEERS; i++) {
        if (fake->peers[i].fd >= 0) {
            (void)close(fake->peers[i].fd);
        }
    }
    for (size_t i = 0; i < fake->n_heard; i++) {
        free(fake->heard[i]);
    }
    (void)pthread_mutex_destroy(&fake->mutex);
    free(fake);
}

struct fake *fake_start(enum fake_kind kind, const struct fake_words *words)
{
    struct fake *fake = calloc(1, sizeof(*fake));

    cr_assert(fake);
    fake->kind = kind;
    fake->port = port_reserve();
    fake->address = text("127.0.0.1:%u", fake->port);
    if (words) {
        fake->words = *words;
    }
    for (size_t i = 0; i < FAKE_PEERS; i++) {
        fake->peers[i].fd = -1;
    }
    fake->out = open_memstream(&fake->out_bytes, &fake->out_size);
    cr_assert(fake->out);
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(fake->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int one = 1;
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fake->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    cr_assert(bind(fake->listener, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
              listen(fake->listener, 64) == 0);
    cr_assert(pipe2(fake->stop, 0) == 0);
    (void)pthread_mutex_init(&fake->mutex, NULL);
    cr_assert(pthread_create(&fake->thread, NULL, turn, fake) == 0);
    return scene_keep(fake, fake_stop);
}

struct fake *fake_start_sentinel(uint16_t port)
{
    return fake_start(FAKE_SENTINEL,
                      &(struct fake_words){.run_id = "0123456789012345678901234567890123456789",
                                           .epoch = 7,
                                           .master_name = "mymaster",
                                           .master_host = "127.0.0.1",
                                           .master_port = text("%u", port)});
}

uint16_t fake_port(const struct fake *fake)
{
    return fake->port;
}

const char *fake_address(const struct fake *fake)
{
    return fake->address;
}

void fake_say(struct fake *fake, const struct fake_words *words)
{
    (void)pthread_mutex_lock(&fake->mutex);
    fake->words = *words;
    for (size_t i = 0; i < FAKE_PEERS; i++) {
        struct peer *peer = &fake->peers[i];

        if (peer->fd >= 0 && words->away) {
            hang_up(peer);
        } else if (peer->fd >= 0 && peer->n > 0) {
            serve_peer(fake, peer);
        }
    }
    (void)pthread_mutex_unlock(&fake->mutex);
    (void)!write(fake->stop[1], "", 1); /* it polls for what is there now */
}

void fake_publish(struct fake *fake, const char *channel, const char *payload)
{
    (void)pthread_mutex_lock(&fake->mutex);
    for (size_t i = 0; i < FAKE_PEERS; i++) {
        if (fake->peers[i].fd < 0 || !fake->peers[i].subscribed) {
            continue;
        }
        say(fake, ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n");
        say_pair(fake, channel, payload);
        send_said(fake, fake->peers[i].fd);
    }
    (void)pthread_mutex_unlock(&fake->mutex);
}

unsigned fake_held(struct fake *fake)
{
    unsigned n = 0;

    (void)pthread_mutex_lock(&fake->mutex);
    for (size_t i = 0; i < FAKE_PEERS && fake->words.hold; i++) {
        n += fake->peers[i].fd >= 0 && fake->peers[i].n > 0 ? 1 : 0;
    }
    (void)pthread_mutex_unlock(&fake->mutex);
    return n;
}

size_t fake_backlog(struct fake *fake)
{
    (void)pthread_mutex_lock(&fake->mutex);
    const size_t most = fake->backlog;
    (void)pthread_mutex_unlock(&fake->mutex);
    return most;
}

unsigned fake_accepted(struct fake *fake)
{
    (void)pthread_mutex_lock(&fake->mutex);
    const unsigned n = fake->accepted;
    (void)pthread_mutex_unlock(&fake->mutex);
    return n;
}

unsigned fake_heard(struct fake *fake, const char *command)
{
    unsigned n = 0;

    (void)pthread_mutex_lock(&fake->mutex);
    for (size_t i = 0; i < fake->n_heard; i++) {
        n += strncmp(fake->heard[i], command, strlen(command)) == 0 ? 1 : 0;
    }
    (void)pthread_mutex_unlock(&fake->mutex);
    return n;
}
