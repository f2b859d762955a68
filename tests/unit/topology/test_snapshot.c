/* Snapshots: counting, searching, comparing; and the messages that carry them. */
#include "bellwether/topology/snapshot.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "bellwether/topology/messages.h"

static struct snapshot_master *full_master(void)
{
    struct snapshot_master *m = snapshot_master_new("mymaster");

    m->state = MASTER_OK;
    m->detail = mem_strdup("all is well");
    m->has_address = true;
    m->address = (struct address){.host = "10.0.0.12", .port = 6379};
    m->verified = m->majority = true;
    m->config_epoch = 3;
    m->since_wall_ms = 1000;
    m->has_previous = true;
    m->previous = (struct address){.host = "10.0.0.11", .port = 6379};
    m->n_sentinels = 2;
    m->sentinels = mem_new(2, sizeof(*m->sentinels));
    m->n_replicas = 1;
    m->replicas = mem_new(1, sizeof(*m->replicas));
    m->replicas[0].n_why_not = 1;
    m->replicas[0].why_not[0] = "s_down";
    return m;
}

Test(topology_snapshot, a_master_is_shared_and_freed_once)
{
    struct snapshot_master *m = full_master();

    cr_expect_eq(m->references, 1);
    cr_expect_eq(snapshot_master_ref(m), m);
    cr_expect_eq(m->references, 2);
    snapshot_master_unref(m);
    cr_expect_eq(m->references, 1);
    snapshot_master_unref(m);
    snapshot_master_unref(NULL);
    cr_expect_null(snapshot_master_ref(NULL));
}

Test(topology_snapshot, snapshots_share_masters)
{
    struct snapshot_master *m = full_master();
    struct snapshot *one = snapshot_new(1);
    struct snapshot *two = snapshot_new(1);

    one->masters[0] = m;
    two->masters[0] = snapshot_master_ref(m);
    one->default_name = mem_strdup("mymaster");
    one->n_sentinels_know = 1;
    one->sentinels_know = mem_new(1, sizeof(char *));
    one->sentinels_know[0] = mem_strdup("mymaster");
    cr_expect_eq(snapshot_default(one), m);
    cr_expect_null(snapshot_default(two));
    snapshot_ref(one);
    snapshot_unref(one);
    cr_expect_eq(m->references, 2);
    snapshot_unref(one);
    cr_expect_eq(m->references, 1);
    cr_expect_str_eq(two->masters[0]->detail, "all is well");
    snapshot_unref(two);
    snapshot_unref(NULL);
}

Test(topology_snapshot, find_by_name)
{
    static const char *const names[] = {"a", "b", "ba", "c", "zz"};

    for (size_t n = 0; n <= 5; n++) {
        struct snapshot *s = snapshot_new(n);

        for (size_t i = 0; i < n; i++) {
            s->masters[i] = snapshot_master_new(names[i]);
        }
        for (size_t i = 0; i < 5; i++) {
            struct snapshot_master *found = snapshot_find(s, names[i]);

            cr_expect_eq(found, i < n ? s->masters[i] : NULL, "%s of %zu", names[i], n);
        }
        cr_expect_null(snapshot_find(s, ""));
        cr_expect_null(snapshot_find(s, "bb"));
        cr_expect_null(snapshot_find(s, "zzz"));
        snapshot_unref(s);
    }
}

/* Each change of one member, and whether callers see it in <master> or only elsewhere. */
#define CHANGE(change, body) \
    do { \
        struct snapshot_master *a = full_master(); \
        struct snapshot_master *b = full_master(); \
        cr_expect_not(snapshot_master_differs(a, b), "before " #change); \
        cr_expect_not(snapshot_master_differs_deep(a, b), "before " #change); \
        b->change; \
        cr_expect_eq(snapshot_master_differs(a, b), (body), #change); \
        cr_expect_eq(snapshot_master_differs(b, a), (body), #change); \
        cr_expect(snapshot_master_differs_deep(a, b), #change); \
        snapshot_master_unref(a); \
        snapshot_master_unref(b); \
    } while (0)

Test(topology_snapshot, what_is_in_the_body_of_a_master)
{
    CHANGE(name[0] = 'M', true);
    CHANGE(state = MASTER_DOWN, true);
    CHANGE(reason = REASON_DISPUTED, true);
    CHANGE(has_address = false, true);
    CHANGE(address.port = 6380, true);
    CHANGE(address.host[0] = '2', true);
    CHANGE(tls = true, true);
    CHANGE(verified = false, true);
    CHANGE(majority = false, true);
    CHANGE(config_epoch = 4, true);
    CHANGE(since_wall_ms = 1001, true);
    CHANGE(has_previous = false, true);
    CHANGE(previous.port = 1, true);
}

Test(topology_snapshot, what_is_only_elsewhere)
{
    CHANGE(detail[0] = 'A', false);
    CHANGE(run_id[0] = 'r', false);
    CHANGE(fence = FENCE_PROMOTING, false);
    CHANGE(promoting_ms = 5, false);
    CHANGE(switches = 1, false);
    CHANGE(quorum = 2, false);
    CHANGE(known = 3, false);
    CHANGE(reachable = 3, false);
    CHANGE(agreeing = 3, false);
    CHANGE(voters_needed = 2, false);
    CHANGE(n_sentinels = 1, false);
    CHANGE(n_replicas = 0, false);
    CHANGE(sentinels[1].reachable = true, false);
    CHANGE(sentinels[0].agrees = true, false);
    CHANGE(sentinels[0].has_says = true, false);
    CHANGE(sentinels[0].config_epoch = 9, false);
    CHANGE(sentinels[0].ckquorum_text[0] = 'x', false);
    CHANGE(sentinels[0].error_wall_ms = 5, false);
    CHANGE(sentinels[0].tilt = true, false);
    CHANGE(replicas[0].healthy = true, false);
    CHANGE(replicas[0].lag_bytes = 7, false);
    CHANGE(replicas[0].why_not[0] = "o_down", false);
    CHANGE(replicas[0].flags[0] = 's', false);
}

Test(topology_snapshot, what_is_published_has_several_addresses)
{
    struct snapshot_master *master = snapshot_master_new("m");
    struct address ip, name, other, elsewhere;
    char error[100];

    cr_assert_eq(address_parse("10.0.0.1:1", 0, &ip, error, sizeof(error)), 0);
    cr_assert_eq(address_parse("redis-0:1", 0, &name, error, sizeof(error)), 0);
    cr_assert_eq(address_parse("redis-0.example:1", 0, &other, error, sizeof(error)), 0);
    cr_assert_eq(address_parse("10.0.0.1:2", 0, &elsewhere, error, sizeof(error)), 0);
    master->address = name;
    master->ip = ip;
    master->sentinels = mem_new(2, sizeof(*master->sentinels));
    master->n_sentinels = 2;
    master->sentinels[0] =
        (struct snapshot_sentinel){.has_says = true, .agrees = true, .says = other};
    master->sentinels[1] = (struct snapshot_sentinel){.has_says = true, .says = elsewhere};
    cr_expect(snapshot_master_is_at(master, &name));
    cr_expect(snapshot_master_is_at(master, &ip));
    cr_expect(snapshot_master_is_at(master, &other), "so says one that agrees");
    cr_expect_not(snapshot_master_is_at(master, &elsewhere));
    snapshot_master_unref(master);
}

Test(topology_snapshot, index_and_revision_do_not_count)
{
    struct snapshot_master *a = full_master();
    struct snapshot_master *b = full_master();

    b->index = 99;
    b->revision = 99;
    cr_expect_not(snapshot_master_differs(a, b));
    cr_expect_not(snapshot_master_differs_deep(a, b));
    snapshot_master_unref(a);
    snapshot_master_unref(b);
}

Test(topology_news, a_snapshot_travels_with_a_reference)
{
    struct snapshot *s = snapshot_new(0);
    struct message *message = message_snapshot_new(s);

    cr_expect_eq(message->kind, MESSAGE_SNAPSHOT);
    cr_expect_eq(((struct message_snapshot *)message)->snapshot, s);
    cr_expect_eq(s->references, 2);
    message->drop(message);
    cr_expect_eq(s->references, 1);
    snapshot_unref(s);
}

Test(topology_news, the_other_kinds)
{
    struct message *fresh = message_fresh_new(7, false, REASON_CONFLICT, "in words");
    struct message *ask = message_ask_fresh_new(8, NULL, "mymaster");
    struct message *plain = message_plain_new(MESSAGE_DRAIN);

    cr_expect_eq(fresh->kind, MESSAGE_FRESH);
    cr_expect_eq(((struct message_fresh *)fresh)->ticket, 7);
    cr_expect_eq(((struct message_fresh *)fresh)->reason, REASON_CONFLICT);
    cr_expect_str_eq(((struct message_fresh *)fresh)->detail, "in words");
    cr_expect_eq(ask->kind, MESSAGE_ASK_FRESH);
    cr_expect_eq(((struct message_ask_fresh *)ask)->ticket, 8);
    cr_expect_str_eq(((struct message_ask_fresh *)ask)->master, "mymaster");
    cr_expect_eq(plain->kind, MESSAGE_DRAIN);
    fresh->drop(fresh);
    ask->drop(ask);
    plain->drop(plain);
    fresh = message_fresh_new(7, true, REASON_NONE, NULL);
    cr_expect_str_eq(((struct message_fresh *)fresh)->detail, "");
    fresh->drop(fresh);
}

Test(topology_snapshot, causes_are_named_one_by_one)
{
    struct snapshot_sentinel some[20] = {0};
    char *text = snapshot_say_causes("lead", some, 0);

    cr_expect_str_eq(text, "lead");
    free(text);
    for (size_t i = 0; i < 20; i++) {
        some[i].address = (struct address){.host = "10.0.0.1", .port = (uint16_t)(i + 1)};
        some[i].reachable = i % 2;
    }
    snprintf(some[1].error_code, sizeof(some[1].error_code), "x");
    snprintf(some[1].error_text, sizeof(some[1].error_text), "it said x");
    text = snapshot_say_causes("lead", some, 4);
    cr_expect_str_eq(text, "lead; 10.0.0.1:1: it has not answered yet; 10.0.0.1:2: it said x; "
                           "10.0.0.1:3: it has not answered yet");
    free(text);
    for (size_t i = 0; i < 20; i++) {
        some[i].reachable = false;
    }
    text = snapshot_say_causes("lead", some, 20);
    cr_expect(strstr(text, "10.0.0.1:16: ") && !strstr(text, "10.0.0.1:17: "), "%s", text);
    cr_expect(strstr(text, "; and 4 more, see /sentinels"), "%s", text);
    free(text);
}

/* ---- whether it holds ---- */

Test(topology_snapshot, what_the_watcher_has_heard_since)
{
    struct pulse pulse = {.generation = 3, .fences = 5};
    struct snapshot *snapshot = snapshot_new(0);

    cr_expect_not(snapshot_is_behind(NULL));
    cr_expect_not(snapshot_is_behind(snapshot), "nobody says what it has heard");
    snapshot->pulse = &pulse;
    snapshot->generation = 3;
    snapshot->fences = 5;
    cr_expect_not(snapshot_is_behind(snapshot));
    atomic_store(&pulse.fences, 6);
    cr_expect(snapshot_is_behind(snapshot), "a failover");
    snapshot->fences = 6;
    atomic_store(&pulse.generation, 4);
    cr_expect(snapshot_is_behind(snapshot), "a jump of the clock");
    snapshot->generation = 4;
    cr_expect_not(snapshot_is_behind(snapshot));
    snapshot_unref(snapshot);
}
