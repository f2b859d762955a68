/*
 * The failover log as a whole: which masters it is about, and what time alone does to it.
 */
#include "bellwether/topology/failover_log.h"

#include <stdlib.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "failover_log_ring.h"
#include "failover_log_story.h"

struct failover_log *failover_log_new(size_t capacity)
{
    struct failover_log *failover_log = mem_new(1, sizeof(*failover_log));

    failover_log->capacity = capacity > 0 ? capacity : 1;
    failover_log->ring = mem_new(failover_log->capacity, sizeof(*failover_log->ring));
    return failover_log;
}

void failover_log_free(struct failover_log *failover_log)
{
    if (!failover_log) {
        return;
    }
    for (struct list_link *link; (link = list_take_first(&failover_log->records));) {
        failover_record_free(LIST_OWNER(link, struct failover_record, link));
    }
    failover_log_ring_release(failover_log);
    failover_log_queue_release(&failover_log->ended);
    failover_log_queue_release(&failover_log->resolved);
    free(failover_log->tellers);
    free(failover_log);
}

struct failover_record *failover_log_watch(struct failover_log *failover_log, const char *name,
                                           size_t deployment)
{
    struct failover_record *record = mem_new(1, sizeof(*record));

    record->log = failover_log;
    record->name = mem_strdup(name);
    record->deployment = deployment;
    record->gap_ms = -1;
    list_insert_after(&failover_log->records, NULL, &record->link);
    return record;
}

void failover_log_down_after(struct failover_record *record, int64_t down_after_ms)
{
    record->down_after_ms = down_after_ms;
}

void failover_log_forget(struct failover_record *record, struct failover_log_time now)
{
    failover_record_drop_tail(record);
    if (record->entry) {
        failover_record_cut(record, now);
    }
    list_remove(&record->log->records, &record->link);
    failover_record_free(record);
}

bool failover_log_tick(struct failover_log *failover_log, struct failover_log_time now)
{
    uint64_t before = failover_log->revision;

    LIST_EACH(struct failover_record, record, &failover_log->records, link) {
        if (failover_log->n_open == 0) {
            break;
        }
        failover_record_review(record, now);
    }
    return failover_log->revision != before;
}

int64_t failover_log_next_ms(const struct failover_log *failover_log)
{
    int64_t next = -1;

    LIST_EACH(const struct failover_record, record, &failover_log->records, link) {
        next = earlier(next, failover_log->n_open > 0 ? failover_record_next_ms(record) : -1);
    }
    return next;
}
