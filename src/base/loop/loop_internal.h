/*
 * What the loop's objects share: the loop itself, and how a handle of libuv's is made and ends.
 *
 * libuv closes handles later, on a turn of the loop, and keeps using their memory until then. So
 * every object is freed in its close callback, and x_free() only begins that: it is safe anywhere,
 * the object's own callback included, and nothing is called after it.
 */
#ifndef BELLWETHER_BASE_LOOP_LOOP_INTERNAL_H
#define BELLWETHER_BASE_LOOP_LOOP_INTERNAL_H

#include <pthread.h>
#include <uv.h>

#include "bellwether/base/loop.h"

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare; /* always active: a loop without work waits instead of ending */
    void (*turn)(void *data);
    void *turn_data;
    bool turn_again;   /* something is there for the hook */
    struct list later; /* what is to be done at the end of this turn, in order */
    uint32_t phase;    /* of shared moments: a daemon's own, or all of a host would turn at once */
    uv_async_t resolved;
    pthread_mutex_t lock; /* guards `answered` */
    struct list answered;
    char *scratch; /* NULL until somebody wants it */
};

/* ---- handle.c ---- */

/** A failure of libuv itself, out of descriptors or memory, or a fault in this program: abort. */
void loop_must(int result, const char *what);
/** A close callback: frees the object that the handle's `data` is. */
void loop_handle_closed(uv_handle_t *handle);

/* ---- lookup.c ---- */

void loop_lookups_open(struct loop *loop);
/** Begin to close what loop_lookups_open() made; done when the loop has no handle any more. */
void loop_lookups_close(struct loop *loop);

#endif
