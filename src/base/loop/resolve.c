/*
 * getaddrinfo() blocks, for half a minute where a name server is silent, and can't be stopped. So
 * it runs on threads, which start when they are needed and end when they are idle. A name is given
 * one of them:
 *
 *   a name that resolved last time   where any thread is free
 *   one that is new, or unknown      unless these two kinds have all but an eighth
 *   one that hung                    a few at a time, the one that hung least often first, then the
 *                                    one that waits longest
 *
 * That is so for all together, and for each group (a deployment) within its share: however many
 * names of one hang, those of another find room. A name that several groups ask for takes the share
 * of one that has some left.
 *
 * Whoever no longer waits cancels; the look-up ends some day and what it found is kept for the next
 * one who asks.
 */
#include "resolve.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"

enum {
    IDLE_S = 1, /* a thread without work ends */
    /* modules of the name service want some; only what is touched is memory */
    STACK_BYTES = 1 << 20,
    NAMES_MAX = 2000, /* remembered; Sentinels could make up ever new ones */
};

enum kind { KIND_GOOD, KIND_NEW, KIND_HUNG };

struct resolve_name {
    struct list_link link;
    char *host;
    struct list asks; /* the youngest first */
    bool waiting, running;
    enum kind kind;
    unsigned group;   /* running: whose share it takes */
    unsigned hangs;   /* in a row */
    int64_t since_ms; /* waiting: since when; else when the last look-up ended */
    struct address *last;
    size_t n_last;
};

typedef int resolve_fn(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over all that follows */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static resolve_fn *resolver = getaddrinfo;
static struct list names;
static size_t n_names, n_threads, n_running;
static struct resolve_name *running[RESOLVE_MAX];

/* ---- addresses ---- */

/* False for what is neither IPv4 nor IPv6. */
static bool to_address(const struct sockaddr *from, struct address *out)
{
    struct address found = {0};

    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, from, sizeof(in));
        if (!inet_ntop(AF_INET, &in.sin_addr, found.host, sizeof(found.host))) {
            return false;
        }
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        char zone[IF_NAMESIZE];

        memcpy(&in6, from, sizeof(in6));
        if (!inet_ntop(AF_INET6, &in6.sin6_addr, found.host, sizeof(found.host))) {
            return false;
        }
        if (in6.sin6_scope_id != 0 && if_indextoname(in6.sin6_scope_id, zone)) {
            size_t used = strlen(found.host);

            (void)snprintf(found.host + used, sizeof(found.host) - used, "%%%s", zone);
        }
    } else {
        return false;
    }
    *out = found;
    return true;
}

static bool is_among(const struct address *all, size_t n, const struct address *one)
{
    for (size_t i = 0; i < n; i++) {
        if (address_equal(&all[i], one)) {
            return true;
        }
    }
    return false;
}

static size_t to_addresses(const struct addrinfo *list, struct address **out)
{
    struct address *found = NULL;
    size_t n = 0;

    for (; list; list = list->ai_next) {
        struct address one;

        if (to_address(list->ai_addr, &one) && !is_among(found, n, &one)) {
            *MEM_APPEND(found, n) = one;
        }
    }
    *out = found;
    return n;
}

static struct address *copy_addresses(const struct address *from, size_t n)
{
    struct address *copy = mem_new(n + 1, sizeof(*copy));

    if (n > 0) {
        memcpy(copy, from, n * sizeof(*copy));
    }
    return copy;
}

/* ---- which one is next; all under the lock ---- */

static bool fits(enum kind kind, const size_t n[KIND_HUNG + 1], size_t most)
{
    size_t doubtful = n[KIND_HUNG] + n[KIND_NEW];

    return doubtful + n[KIND_GOOD] < most &&
           (kind == KIND_GOOD || (doubtful < RESOLVE_NEW_OF(most) &&
                                  (kind == KIND_NEW || n[KIND_HUNG] < RESOLVE_HUNG_OF(most))));
}

static bool has_room(enum kind kind, unsigned group)
{
    size_t all[KIND_HUNG + 1] = {0};
    size_t own[KIND_HUNG + 1] = {0};

    for (size_t i = 0; i < n_running; i++) {
        all[running[i]->kind]++;
        own[running[i]->kind] += running[i]->group == group;
    }
    return fits(kind, all, RESOLVE_MAX) && fits(kind, own, RESOLVE_GROUP_MAX);
}

/* Who asks for it and has room, NULL: nobody. */
static const struct resolve_ask *with_room(const struct resolve_name *name)
{
    LIST_EACH(const struct resolve_ask, ask, &name->asks, link) {
        if (name->waiting && has_room(name->kind, ask->group)) {
            return ask;
        }
    }
    return NULL;
}

static bool goes_before(const struct resolve_name *a, const struct resolve_name *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind;
    }
    return a->hangs != b->hangs ? a->hangs < b->hangs : a->since_ms < b->since_ms;
}

/* Whether there are more look-ups to begin than threads without one. */
static bool is_short_of_threads(void)
{
    size_t n = 0;

    LIST_EACH(const struct resolve_name, name, &names, link) {
        n += with_room(name) != NULL;
        if (n > n_threads - n_running) {
            break;
        }
    }
    return n > n_threads - n_running && n_threads < RESOLVE_MAX;
}

static struct resolve_name *pick(void)
{
    struct resolve_name *best = NULL;

    LIST_EACH(struct resolve_name, name, &names, link) {
        if (name->waiting && (!best || goes_before(name, best)) && with_room(name)) {
            best = name;
        }
    }
    return best;
}

static struct resolve_name *find(const char *host)
{
    LIST_EACH(struct resolve_name, name, &names, link) {
        if (strcmp(name->host, host) == 0) {
            return name;
        }
    }
    return NULL;
}

/* Room for one more: the name that nobody has asked for the longest goes. */
static void forget_oldest(void)
{
    struct resolve_name *oldest = NULL;

    LIST_EACH(struct resolve_name, name, &names, link) {
        if (!name->waiting && !name->running && (!oldest || name->since_ms < oldest->since_ms)) {
            oldest = name;
        }
    }
    if (!oldest) {
        return;
    }
    list_remove(&names, &oldest->link);
    n_names--;
    free(oldest->last);
    free(oldest->host);
    free(oldest);
}

static struct resolve_name *find_or_add(const char *host)
{
    struct resolve_name *name = find(host);

    if (name) {
        return name;
    }
    if (n_names >= NAMES_MAX) {
        forget_oldest();
    }
    name = mem_new(1, sizeof(*name));
    name->host = mem_strdup(host);
    name->kind = KIND_NEW;
    list_insert_after(&names, NULL, &name->link);
    n_names++;
    return name;
}

/* ---- the threads ---- */

static bool start_thread(void);

static void have_threads(void)
{
    if (is_short_of_threads()) {
        n_threads += start_thread();
    }
}

static void learn(struct resolve_name *name, int64_t took_ms, int error, struct address *found,
                  size_t n)
{
    if (took_ms > RESOLVE_SLOW_MS) {
        name->kind = KIND_HUNG;
        name->hangs++;
    } else {
        name->kind = error == 0 && n > 0 ? KIND_GOOD : KIND_NEW;
        name->hangs = 0;
    }
    if (error == 0 && n > 0) {
        free(name->last);
        name->last = found;
        name->n_last = n;
    } else {
        free(found);
    }
}

static void tell(struct resolve_name *name, int error)
{
    for (struct list_link *link; (link = list_take_first(&name->asks));) {
        struct resolve_ask *ask = LIST_OWNER(link, struct resolve_ask, link);

        ask->name = NULL;
        ask->error = error;
        ask->n = error == 0 ? name->n_last : 0;
        ask->found = copy_addresses(name->last, ask->n);
        ask->done(ask);
    }
}

static void look_up(struct resolve_name *name)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    resolve_fn *ask = resolver;
    struct addrinfo *list = NULL;
    struct address *found = NULL;
    int64_t began_ms = clock_boot_ms();
    size_t n = 0, at = 0;
    int error;

    name->group = with_room(name)->group;
    name->waiting = false;
    name->running = true;
    running[n_running++] = name;
    have_threads();
    pthread_mutex_unlock(&lock);
    error = ask(name->host, NULL, &hints, &list); /* its host stays as long as it runs */
    if (error == 0) {
        n = to_addresses(list, &found);
        freeaddrinfo(list);
    }
    pthread_mutex_lock(&lock);
    while (running[at] != name) {
        at++;
    }
    running[at] = running[--n_running];
    name->running = false;
    name->since_ms = clock_boot_ms();
    error = error == 0 && n == 0 ? EAI_NONAME : error;
    learn(name, name->since_ms - began_ms, error, found, n);
    tell(name, error);
}

static void *run(void *data)
{
    struct timespec until;
    int waited = 0;

    (void)data;
    pthread_mutex_lock(&lock);
    while (waited == 0) {
        struct resolve_name *name = pick();

        if (name) {
            look_up(name);
            continue;
        }
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += IDLE_S;
        waited = pthread_cond_timedwait(&work, &lock, &until);
        if (pick()) {
            waited = 0;
        }
    }
    n_threads--;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static bool start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int failure;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loops' */
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    failure = pthread_create(&thread, &attributes, run, NULL);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure == 0;
}

/* ---- those who ask ---- */

void resolve_start(struct resolve_ask *ask, const char *host)
{
    struct resolve_name *name;

    pthread_mutex_lock(&lock);
    name = find_or_add(host);
    ask->name = name;
    ask->found = NULL;
    ask->n = 0;
    list_insert_after(&name->asks, NULL, &ask->link);
    if (!name->waiting && !name->running) {
        name->waiting = true;
        name->since_ms = clock_boot_ms();
    }
    if (with_room(name)) {
        have_threads();
    }
    pthread_cond_signal(&work);
    if (name->waiting && n_threads == 0) { /* no thread to be had: nobody would ever answer */
        name->waiting = false;
        tell(name, EAI_AGAIN);
    }
    pthread_mutex_unlock(&lock);
}

void resolve_cancel(struct resolve_ask *ask)
{
    pthread_mutex_lock(&lock);
    if (ask->name) {
        list_remove(&ask->name->asks, &ask->link);
        ask->name->waiting = ask->name->waiting && ask->name->asks.first; /* what runs goes on */
    }
    ask->name = NULL;
    pthread_mutex_unlock(&lock);
}

size_t resolve_last(const char *host, struct address **out)
{
    const struct resolve_name *name;
    size_t n;

    pthread_mutex_lock(&lock);
    name = find(host);
    n = name ? name->n_last : 0;
    *out = n > 0 ? copy_addresses(name->last, n) : NULL;
    pthread_mutex_unlock(&lock);
    return n;
}

bool resolve_is_busy(void)
{
    bool busy;

    pthread_mutex_lock(&lock);
    busy = n_running > 0;
    pthread_mutex_unlock(&lock);
    return busy;
}

void resolve_use(int (*ask)(const char *host, const char *service, const struct addrinfo *hints,
                            struct addrinfo **out))
{
    pthread_mutex_lock(&lock);
    resolver = ask;
    pthread_mutex_unlock(&lock);
}
