/* The failover log's keeping of entries. Its stories are in tests/sim/test_failover_log_*.c. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bellwether/topology/failover_log.h"

static struct failover_log_time at(int64_t ms)
{
    return (struct failover_log_time){ms, 1795348800000 + ms};
}

static const struct address node = {.host = "10.0.0.1", .port = 6379};

/* A master that goes and comes back: one entry. */
static void blip(struct failover_record *master, int64_t ms)
{
    failover_log_state(master, &node, MASTER_OK, at(ms));
    failover_log_checked(master, FAILOVER_CHECK_BAD, at(ms + 10));
    failover_log_state(master, &node, MASTER_DOWN, at(ms + 11));
    failover_log_state(master, &node, MASTER_OK, at(ms + 20));
}

Test(topology_failover_log, words)
{
    cr_expect_str_eq(failover_phase_text(PHASE_SUSPECTED), "suspected");
    cr_expect_str_eq(failover_phase_text(PHASE_FINISHED), "finished");
    cr_expect_str_eq(failover_kind_text(FAILOVER_UNKNOWN), "unknown");
    cr_expect_str_eq(failover_kind_text(FAILOVER_CRASH), "crash");
    cr_expect_str_eq(failover_kind_text(FAILOVER_MANUAL), "manual");
    cr_expect_str_eq(failover_outcome_text(FAILOVER_RUNNING), "running");
    cr_expect_str_eq(failover_outcome_text(FAILOVER_UNATTENDED), "unattended");
    cr_expect_str_eq(failover_outcome_text(FAILOVER_SWITCHED), "switched");
    cr_expect_str_eq(failover_outcome_text(FAILOVER_ABORTED), "aborted");
    cr_expect_str_eq(failover_outcome_text(FAILOVER_NOT_STARTED), "not_started");
    cr_expect_str_eq(failover_outcome_text(FAILOVER_RECOVERED), "recovered");
}

Test(topology_failover_log, empty)
{
    struct failover_log *failover_log = failover_log_new(0);
    struct failovers *list = failover_log_list(failover_log);

    cr_expect_eq(list->n, 0);
    cr_expect_null(failover_log_take_ended(failover_log));
    cr_expect_eq(failover_log_next_ms(failover_log), -1);
    cr_expect_not(failover_log_tick(failover_log, at(1000)));
    failovers_unref(list);
    failovers_unref(NULL);
    cr_expect_null(failovers_ref(NULL));
    failover_log_free(failover_log);
    failover_log_free(NULL);
}

Test(topology_failover_log, ring_and_what_ended)
{
    struct failover_log *failover_log = failover_log_new(4);
    struct failover_record *master = failover_log_watch(failover_log, "mymaster", 0);
    struct failovers *list;
    uint64_t revision = failover_log_revision(failover_log), id = 1;
    struct failover *ended;

    for (int i = 0; i < 10; i++) {
        blip(master, i * 100);
        cr_expect_gt(failover_log_revision(failover_log), revision);
        revision = failover_log_revision(failover_log);
    }
    list = failover_log_list(failover_log);
    cr_assert_eq(list->n, 4);
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(list->entries[i]->id, 10 - i, "newest first");
        cr_expect_str_eq(list->entries[i]->name, "mymaster");
    }
    for (; (ended = failover_log_take_ended(failover_log)); failover_unref(ended)) {
        cr_expect_eq(ended->id, id++, "each once, oldest first, those that left the ring, too");
        cr_expect_eq(ended->outcome, FAILOVER_RECOVERED);
    }
    cr_expect_eq(id, 11);
    failover_log_free(failover_log);
    cr_expect_eq(list->entries[0]->id, 10, "a list outlives its log");
    failovers_unref(list);
}

Test(topology_failover_log, shared_lists_stay_as_they_were)
{
    struct failover_log *failover_log = failover_log_new(4);
    struct failover_record *master = failover_log_watch(failover_log, "mymaster", 0);
    struct failovers *before, *after;

    failover_log_state(master, &node, MASTER_OK, at(0));
    failover_log_state(master, &node, MASTER_DOWN, at(100));
    before = failover_log_list(failover_log);
    failover_log_state(master, &node, MASTER_OK, at(300));
    after = failover_log_list(failover_log);
    cr_expect_eq(before->entries[0]->outcome, FAILOVER_RUNNING);
    cr_expect_eq(before->entries[0]->ended_wall_ms, 0);
    cr_expect_eq(after->entries[0]->outcome, FAILOVER_RECOVERED);
    cr_expect_eq(after->entries[0]->id, before->entries[0]->id);
    cr_expect_eq(after->entries[0]->unavailable_ms, 300);
    failovers_unref(before);
    failovers_unref(after);
    failover_log_free(failover_log);
}

/*
 * More Sentinels than a master's record holds (their addresses change for ever): those with nothing
 * to say make room.
 */
Test(topology_failover_log, many_sentinels)
{
    struct failover_log *failover_log = failover_log_new(4);
    struct failover_record *master = failover_log_watch(failover_log, "mymaster", 0);
    struct failover_log_event event = {.master = master, .about = &node, .epoch = EPOCH_UNKNOWN};
    struct failovers *list;
    char name[32];

    failover_log_state(master, &node, MASTER_OK, at(0));
    event.sentinel = name;
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "10.1.%d.%d:26379", i / 250, i % 250);
        event.signal = FAILOVER_SIGNAL_NEW_EPOCH;
        failover_log_hear(failover_log, &event, at(i));
        event.signal = FAILOVER_SIGNAL_SDOWN;
        failover_log_hear(failover_log, &event, at(i));
        event.signal = FAILOVER_SIGNAL_SDOWN_END;
        failover_log_hear(failover_log, &event, at(i));
    }
    list = failover_log_list(failover_log);
    cr_assert_eq(list->n, 4);
    cr_expect_eq(list->entries[0]->id, 3000);
    cr_expect_eq(list->entries[0]->outcome, FAILOVER_RECOVERED);
    failovers_unref(list);
    failover_log_free(failover_log);
}
