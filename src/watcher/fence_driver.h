/* Whether writes are held back while a replica is promoted. */
#ifndef BELLWETHER_WATCHER_FENCE_DRIVER_H
#define BELLWETHER_WATCHER_FENCE_DRIVER_H

#include "bellwether/topology/write_fence.h"
#include "role_check.h"

struct master;
struct sentinel_event;
struct sentinel_node;
struct sentinel_view;

/* Whether writes are held back. */
struct fence_driver {
    struct write_fence guard;
    struct role_check *role_check; /* to the chosen replica; NULL: it has not been asked */
    struct loop_timer *timer;      /* NULL: never needed */
    enum fence shown;              /* as last logged */
    int64_t since_wall_ms;         /* up: since when */
    int64_t since_ms;              /* the same by the boot clock */
    /* guard.promoting_ms, and no later than the watcher had heard all that had come to it */
    int64_t heard_promoting_ms, promoting_ms;
    bool contradicted;         /* and it was a contradiction that raised it */
    char waiting[RUN_ID_SIZE]; /* the leader whose choice waits for a name look-up, "" none */
    struct address chosen;     /* that choice */
};

/*
 * After any of them the fence is as it has to be, and what workers see of it goes out with this
 * turn.
 */
void fence_driver_init(struct master *master);
void fence_driver_hear_event(struct master *master, const struct sentinel_node *sentinel,
                             const struct sentinel_event *event);
/* What an event means to the guard. @return false: nothing. */
bool fence_driver_signal(const struct sentinel_event *event, enum fence_signal *signal);
/* The published address moved. */
void fence_driver_publish(struct master *master);
/* A contradiction (rule 13) began or ended. */
void fence_driver_contradict(struct master *master);
/* The fence as it is shown: the guard's, or up by a contradiction. */
enum fence fence_driver_state(const struct master *master);
/* What last moved the fence, in words; static. */
const char *fence_driver_why(const struct master *master);
/* A name look-up ended: the choice that waited for it, if any, goes on. */
void fence_driver_resume(struct master *master);
/* A Sentinel's row was read. */
void fence_driver_row(const struct sentinel_view *view);
/* There was a gap in the clock: the guard has whoever holds it confirmed. */
void fence_driver_void(struct master *master);
void fence_driver_release(struct master *master);

#endif
