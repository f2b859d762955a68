/*
 * Host names to addresses, on threads of its own, for the whole process: one look-up a name however many ask, and
 * names that hang never in front of those that resolve. loop.c is the only caller (loop_lookup_start()).
 */
#ifndef BELLWETHER_BASE_RESOLVE_H
#define BELLWETHER_BASE_RESOLVE_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>

#include "bellwether/base/address.h"

struct resolve_name;

enum {
    RESOLVE_SLOW_MS = 500, /* who took longer hangs */
    RESOLVE_HUNG_MAX = 4,  /* look-ups at a time of names that hung before */
    RESOLVE_NEW_MAX = 48,  /* of these and of names that never resolved */
    RESOLVE_MAX = 64,      /* of all: the rest is for names that resolve */
};

/* One who asks; embedded in its owner. */
struct resolve_ask {
    struct resolve_ask *next;  /* set and used in resolve.c until `done`, then the owner's */
    struct resolve_name *name; /* NULL: not asking, or done */
    /* On a thread of the resolver and under its lock: hands over to the owner's thread and does nothing else. */
    void (*done)(struct resolve_ask *ask);
    int error; /* getaddrinfo()'s */
    struct address *found;
    size_t n; /* 0 with an error, and where no address was IPv4 or IPv6 */
};

/** Ask for a name, which is no IP literal. `found` is the owner's to free afterwards. Thread: any. */
void resolve_start(struct resolve_ask *ask, const char *host);
/** After it `done` does not come; nothing when it came. The look-up itself goes on. Thread: any. */
void resolve_cancel(struct resolve_ask *ask);
/** What the name resolved to last, even if nobody waited for it any longer. @return how many; `out` is the caller's to
 * free. Thread: any. */
size_t resolve_last(const char *host, struct address **out);
/** Whether a thread is inside the resolver. Thread: any. */
bool resolve_is_busy(void);
/** For tests: ask this instead of getaddrinfo(); its list is given to freeaddrinfo(). */
void resolve_use(int (*ask)(const char *host, const char *service, const struct addrinfo *hints,
                            struct addrinfo **out));

#endif
