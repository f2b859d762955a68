/* The failover log as a whole, and its entries: the ring, and the queues of what ended. */
#ifndef BELLWETHER_TOPOLOGY_FAILOVER_LOG_RING_H
#define BELLWETHER_TOPOLOGY_FAILOVER_LOG_RING_H

#include "bellwether/base/list.h"
#include "bellwether/topology/failover_log.h"

/* What one Sentinel says that is about no master. */
struct teller {
    char sentinel[ADDRESS_TEXT_SIZE];
    size_t deployment;
    int64_t epoch; /* its last +new-epoch */
    bool tilt;
};

struct failover_log {
    size_t capacity;
    struct failover **ring; /* oldest first from `start`; a reference each */
    size_t start, n;
    struct failover_queue {
        struct failover **entries; /* not yet taken; a reference each */
        size_t n;
    } ended, resolved;
    struct list records; /* struct failover_record, the youngest first */
    struct teller *tellers;
    size_t n_tellers;
    size_t n_open; /* entries */
    uint64_t last_id, revision;
};

struct failover *failover_ref(struct failover *entry);
/** A new entry at the ring's end. @return a reference of the caller's. */
struct failover *failover_log_add(struct failover_log *failover_log, const char *name);
/** A copy that may be changed until the next call, in the place of `*entry` in the ring, too. */
struct failover *failover_log_edit(struct failover_log *failover_log, struct failover **entry);
/** The youngest entry of that master. @return its place in the ring; NULL: there is none. */
struct failover **failover_log_last(const struct failover_log *failover_log, const char *name);
/** For failover_log_take_ended() or failover_log_take_resolved(). */
void failover_log_queue(struct failover_queue *queue, struct failover *entry);
void failover_log_queue_release(struct failover_queue *queue);
void failover_log_ring_release(struct failover_log *failover_log);
bool failover_has_phase(const struct failover *entry, enum failover_phase phase);

#endif
