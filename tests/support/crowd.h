/*
 * Many callers at once on one thread: long polls that come back with each new index, streams, and
 * one that asks /master over and over. Told when each of them learns of a new address.
 */
#ifndef BELLWETHER_TESTS_SUPPORT_CROWD_H
#define BELLWETHER_TESTS_SUPPORT_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum member_kind { MEMBER_POLL, MEMBER_STREAM, MEMBER_ASKER };

struct member {
    enum member_kind kind;
    int fd;
    struct ssl_st *ssl; /* NULL: in plain */
    bool ended;
    size_t n;
    char *bytes;      /* the answer under way, or the end of the stream */
    uint64_t answers; /* answers, or bytes of a stream */
    int status;       /* of the last answer */
    int64_t told_ns;  /* when it learned of the address that is looked for; 0: not yet */
};

struct crowd {
    uint16_t port;
    struct member *members; /* the asker last */
    size_t n;
    int epoll;
    char wanted[300]; /* a piece of text that tells the address */
    size_t told;
    size_t begun;   /* have their first answer, or ended without */
    uint64_t asked; /* answers that the asker has got */
};

/**
 * Raise the limit of descriptors of this process and of what it starts from now on, where that is
 * needed for so many callers. @return whether they have room.
 */
bool crowd_fits(size_t n);
/**
 * Fails the test where they have no room. Freed with the test. @param asks with the asker of
 * /master.
 */
struct crowd *crowd_open(uint16_t port, size_t polls, size_t streams, bool asks);
/**
 * Wait until all have their first answer, or the beginning of their stream, and the polls wait
 * again.
 */
bool crowd_settle(struct crowd *crowd, int64_t bound_ms);
/** From now on this address ("host:port") is looked for. */
void crowd_look_for(struct crowd *crowd, const char *address);
/** Serve all of them until all were told, or the bound. @return whether all were. */
bool crowd_wait_told(struct crowd *crowd, int64_t bound_ms);
/** Serve all of them for so long. */
void crowd_pump(struct crowd *crowd, int64_t span_ms);
/**
 * Nanoseconds between the first and the last that was told, of one kind or of all (-1); -1 while
 * some weren't.
 */
int64_t crowd_spread_ns(const struct crowd *crowd, int kind);
/** The first that was told; 0: none. */
int64_t crowd_first_ns(const struct crowd *crowd, int kind);
/** The asker of /master asks no more. */
void crowd_hush(struct crowd *crowd);
size_t crowd_lost(const struct crowd *crowd);
void crowd_close(struct crowd *crowd);

#endif
