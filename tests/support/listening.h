/* Who listens to /redis/subscribe or /redis/psubscribe: what he was sent so far. */
#ifndef BELLWETHER_TESTS_SUPPORT_LISTENING_H
#define BELLWETHER_TESTS_SUPPORT_LISTENING_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon.h"

/* What lets all of them in. */
#define ALLOWED "--commands", "default +subscribe +psubscribe"

struct listening {
    const char *path;
    struct raw *raw;
    const char *head;
    char *heard; /* all blocks so far */
};

/** Send the request, on a connection of its own. */
struct listening *listening_begin(const struct daemon *daemon, const char *method, const char *path,
                                  const char *body);
/** The head of a stream comes. */
void listening_expect_begun(struct listening *listening);
/** GET it, and wait for its head. */
struct listening *listening_open(const struct daemon *daemon, const char *path);
/* A block that begins like this comes, or has come since the last one that was heard. */
#define EXPECT_HEARD(listening, begin) expect_heard(listening, begin, __FILE__, __LINE__)
void expect_heard(struct listening *listening, const char *begin, const char *file, int line);
/** Whether it ends, soon. */
bool listening_ends(struct listening *listening);
/** Hang up; what was heard is recorded. */
void listening_close(struct listening *listening);
/** How many connections have subscribed to this channel at a node. */
long subscribed_to(const struct server *node, const char *channel);

#endif
