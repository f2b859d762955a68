/* Plain Redis clients of a forward: lines of inline commands out, lines of RESP back. */
#ifndef BELLWETHER_TESTS_SUPPORT_FORWARD_H
#define BELLWETHER_TESTS_SUPPORT_FORWARD_H

#include <stdint.h>

#include "commands.h"
#include "told.h"

/** commands_start() with one forward more, at a port of its own: "--forward 127.0.0.1:PORT`words`". */
struct daemon *forward_start(struct cluster *cluster, uint16_t *port, const char *words, ...)
    __attribute__((sentinel));

/* Two real nodes, of which a test's own Sentinels say what it wants. */
struct pair {
    struct server *old, *now;
    struct told *told;
    const struct daemon *daemon;
    uint16_t port; /* of the forward */
};

/** The same with so many Sentinels, two nodes, and nobody who settles anything. */
struct pair *pair_start(size_t sentinels, const char *words, ...) __attribute__((sentinel));
/** The second node says master from now on; the first one does not hear of it. */
void pair_promote(const struct pair *pair);

/** A client; it is closed when the test ends. */
struct raw *client_open(uint16_t port);
/** Send one command. */
void client_send(struct raw *client, const char *command);
/** The next line, without its end; "" when none comes within the bound or at the end. */
char *client_hear(struct raw *client, int64_t bound_ms);
/** Send one command and hear the first line of its answer, soon. */
char *client_say(struct raw *client, const char *command);
/** So many clients, each of which has spoken. */
struct raw **clients_open(uint16_t port, size_t n);
/** How many clients this node has, without those of replicas, Sentinels and the daemon itself. */
size_t clients_at(const struct server *node);
/** A node's answer to INFO: the number behind `key`. */
long long info_of(const struct server *node, const char *section, const char *key);
#define EXPECT_SAID(client, command, wanted) \
    expect_said(client, command, wanted, __FILE__, __LINE__)
void expect_said(struct raw *client, const char *command, const char *wanted, const char *file,
                 int line);

/* ---- bytes, where lines will not do ---- */

/** A socket that blocks, within a bound: its owner closes it. */
int plain_dial(uint16_t port);
/** Send all of it. */
void plain_send(int fd, const char *bytes, size_t size);
/** This comes, and nothing is taken of what follows. */
void plain_expect(int fd, const char *wanted);
/** So many bytes come, whatever they are. */
void plain_drop(int fd, size_t size);
/** Bytes `from` up to `to` of a value that each part of can be told by. @return how many went. */
size_t plain_send_value(int fd, size_t from, size_t to);
/** Its first `to` bytes, until nobody takes any more for a while. @return how many went. */
size_t plain_send_until_full(int fd, size_t to);
/** The same bytes come, and no others. @return how many, before `to` or the end. */
size_t plain_take_value(int fd, size_t from, size_t to);
/** A daemon's own memory has not grown by much; under sanitizers that is no measure. */
void expect_small_growth(const struct daemon *daemon, long before_kb);

#endif
