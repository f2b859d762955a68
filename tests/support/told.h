/*
 * Sentinels that say what a test wants, of two nodes on 127.0.0.1: one that is the master, and one
 * that they list as its replica.
 */
#ifndef BELLWETHER_TESTS_SUPPORT_TOLD_H
#define BELLWETHER_TESTS_SUPPORT_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon.h"
#include "fake.h"

enum { TOLD_MOST = 3 };

struct told {
    size_t n;
    struct fake *sentinels[TOLD_MOST];
    struct fake_words says[TOLD_MOST];
    struct fake_other others[TOLD_MOST];
    uint16_t old, now; /* ports of the nodes */
};

/** @param deny what the Sentinels deny, NULL: nothing. */
struct told *told_start(size_t n, uint16_t old, uint16_t now, const char *deny);
/** A daemon of theirs, once it has heard all of them. More flags as arguments. */
struct daemon *told_daemon(const struct told *told, ...) __attribute__((sentinel));
/** The same with more flags as an array, NULL-terminated. */
struct daemon *told_launch(const struct told *told, const char *const *more);
/** That Sentinel names this master and this replica from now on, an epoch further. */
void told_name(struct told *told, size_t sentinel, uint16_t master, uint16_t replica);
/** The second node, which it goes on listing until it has reconfigured it. */
void told_announce(struct told *told, size_t sentinel);
/** The first node again, as if it had never heard of another one. */
void told_take_back(struct told *told, size_t sentinel);
/** Whether the first Sentinel is leading a failover, as it says it in its row. */
void told_lead(struct told *told, bool leads);
/** An event of the first Sentinel's, of the old master. */
void told_say(const struct told *told, const char *event);
/** The same: the second node is chosen, and told to become the master. */
void told_say_chosen(const struct told *told);
/** It is being promoted. */
void told_say_promoting(const struct told *told);

#endif
