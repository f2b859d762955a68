/*
 * Host names to addresses, on threads of its own, for the whole process: one look-up a name however
 * many ask, and names that hang never in front of those that resolve, nor those of one group in
 * front of another's. lookup.c is the only caller.
 */
#ifndef BELLWETHER_BASE_LOOP_RESOLVE_H
#define BELLWETHER_BASE_LOOP_RESOLVE_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>

#include "bellwether/base/address.h"
#include "bellwether/base/list.h"

struct resolve_name;

enum {
    RESOLVE_SLOW_MS = 500,               /* who took longer hangs */
    RESOLVE_MAX = 128,                   /* look-ups at a time */
    RESOLVE_GROUP_MAX = RESOLVE_MAX / 4, /* of one group */
};
/*
 * Of so many: at most these are of names that hung before, and these are of them or of names that
 * never resolved.
 */
#define RESOLVE_HUNG_OF(most) ((most) / 8)
#define RESOLVE_NEW_OF(most) ((most) - (most) / 8)

/* One who asks; embedded in its owner. */
struct resolve_ask {
    struct list_link link;     /* used in resolve.c until `done`, then the owner's */
    struct resolve_name *name; /* NULL: not asking, or done */
    /*
     * On a thread of the resolver and under its lock: hands over to the owner's thread and does
     * nothing else.
     */
    void (*done)(struct resolve_ask *ask);
    unsigned group; /* whose share of the threads is taken; the owner's, set before */
    int error;      /* getaddrinfo()'s */
    struct address *found;
    size_t n; /* 0 with an error, and where no address was IPv4 or IPv6 */
};

/**
 * Ask for a name, which is no IP literal. `found` is the owner's to free afterwards. Thread: any.
 */
void resolve_start(struct resolve_ask *ask, const char *host);
/** After it `done` does not come; nothing when it came. The look-up itself goes on. Thread: any. */
void resolve_cancel(struct resolve_ask *ask);
/**
 * What the name resolved to last, even if nobody waited for it any longer. @return how many; `out`
 * is the caller's to free. Thread: any.
 */
size_t resolve_last(const char *host, struct address **out);
/** Whether a thread is inside the resolver. Thread: any. */
bool resolve_is_busy(void);
/** For tests: ask this instead of getaddrinfo(); its list is given to freeaddrinfo(). */
void resolve_use(int (*ask)(const char *host, const char *service, const struct addrinfo *hints,
                            struct addrinfo **out));

#endif
