/*
 * Name look-ups. One runs on a thread of resolve.c, not of libuv's pool, where a few dead names
 * would hold up all others. Freed early, it is left to end by itself.
 */
#include <netdb.h>
#include <stdlib.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "loop_internal.h"
#include "resolve.h"

struct loop_lookup {
    struct resolve_ask ask; /* its `link`: among those answered, under the loop's lock */
    struct loop *loop;
    uint16_t port;
    void (*done)(void *data, int error, const struct address *found, size_t n, const char *words);
    void *data;
};

/* `done` may free the look-up: nothing touches it afterwards. */
static void lookup_finish(struct loop_lookup *lookup)
{
    struct address *found = lookup->ask.found;
    size_t n = lookup->ask.n;

    lookup->ask.found = NULL;
    for (size_t i = 0; i < n; i++) {
        found[i].port = lookup->port;
    }
    if (n > 0) {
        lookup->done(lookup->data, 0, found, n, "");
    } else {
        lookup->done(lookup->data, -BW_ERESOLVE, NULL, 0, gai_strerror(lookup->ask.error));
    }
    free(found);
}

static struct loop_lookup *next_answered(struct loop *loop)
{
    struct list_link *link;

    pthread_mutex_lock(&loop->lock);
    link = list_take_first(&loop->answered);
    pthread_mutex_unlock(&loop->lock);
    return LIST_OWNER(link, struct loop_lookup, ask.link);
}

static void on_resolved(uv_async_t *uv)
{
    struct loop *loop = uv->data;

    for (struct loop_lookup *lookup; (lookup = next_answered(loop));) {
        lookup_finish(lookup);
    }
}

void loop_lookups_open(struct loop *loop)
{
    loop_must(uv_async_init(&loop->uv, &loop->resolved, on_resolved), "uv_async_init");
    loop_must(-pthread_mutex_init(&loop->lock, NULL), "pthread_mutex_init");
    loop->resolved.data = loop;
}

static void on_lookups_closed(uv_handle_t *handle)
{
    struct loop *loop = handle->data;

    pthread_mutex_destroy(&loop->lock);
}

void loop_lookups_close(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->resolved, on_lookups_closed);
}

/* Thread: any. */
static void lookup_answered(struct resolve_ask *ask)
{
    struct loop_lookup *lookup = LIST_OWNER(&ask->link, struct loop_lookup, ask.link);
    struct loop *loop = lookup->loop;

    pthread_mutex_lock(&loop->lock);
    list_append(&loop->answered, &lookup->ask.link);
    /* under the lock: else the loop might be gone */
    loop_must(uv_async_send(&loop->resolved), "uv_async_send");
    pthread_mutex_unlock(&loop->lock);
}

struct loop_lookup *loop_lookup_start(struct loop *loop, const struct address *name, unsigned group,
                                      void (*done)(void *data, int error,
                                                   const struct address *found, size_t n,
                                                   const char *words),
                                      void *data)
{
    struct loop_lookup *lookup = mem_new(1, sizeof(*lookup));

    lookup->ask.done = lookup_answered;
    lookup->ask.group = group;
    lookup->loop = loop;
    lookup->port = name->port;
    lookup->done = done;
    lookup->data = data;
    if (address_is_ip(name)) { /* asks nobody */
        lookup->ask.found = mem_new(1, sizeof(*name));
        *lookup->ask.found = *name;
        lookup->ask.n = 1;
        lookup_answered(&lookup->ask);
    } else {
        resolve_start(&lookup->ask, name->host);
    }
    return lookup;
}

size_t loop_lookup_last(const struct address *name, struct address **out)
{
    size_t n = resolve_last(name->host, out);

    for (size_t i = 0; i < n; i++) {
        (*out)[i].port = name->port;
    }
    return n;
}

void loop_lookup_free(struct loop_lookup *lookup)
{
    struct loop *loop;

    if (!lookup) {
        return;
    }
    loop = lookup->loop;
    resolve_cancel(&lookup->ask);
    pthread_mutex_lock(&loop->lock);
    if (list_holds(&loop->answered, &lookup->ask.link)) {
        list_remove(&loop->answered, &lookup->ask.link);
    }
    pthread_mutex_unlock(&loop->lock);
    free(lookup->ask.found);
    free(lookup);
}

bool loop_lookups_abandoned(void)
{
    return resolve_is_busy();
}
