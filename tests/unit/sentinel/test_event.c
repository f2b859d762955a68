/*
 * Every payload of Sentinel's events, what must be refused, and recorded failovers. Payloads are
 * copied to exact-size heap memory first: they come without a terminator, and a sanitizer sees who
 * reads past them.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/memory.h"
#include "bellwether/sentinel/event.h"
#include "wire.h"

#define MASTER_INST "master mymaster 127.0.0.1 7000"
#define SLAVE_INST "slave 127.0.0.1:7001 127.0.0.1 7001 @ mymaster 127.0.0.1 7000"
#define SENTINEL_INST \
    "sentinel e7598912a31a4b78b3cd7d41f40320ae9a80be7a 127.0.0.1 7210 @ mymaster 127.0.0.1 7000"

static int parse(const char *channel, const char *payload, struct sentinel_event *event)
{
    size_t channel_len = strlen(channel), payload_len = strlen(payload);
    char *a = mem_new(channel_len + 1, 1), *b = mem_new(payload_len + 1, 1);
    int result;

    a = mem_resize(a, channel_len > 0 ? channel_len : 1, 1);
    b = mem_resize(b, payload_len > 0 ? payload_len : 1, 1);
    memcpy(a, channel, channel_len);
    memcpy(b, payload, payload_len);
    result = sentinel_parse_event(a, channel_len, b, payload_len, event);
    free(a);
    free(b);
    return result;
}

static void expect_address(const struct address *address, const char *text)
{
    char found[ADDRESS_TEXT_SIZE] = "";

    if (address_is_set(address)) {
        address_format(address, found);
    }
    cr_expect_str_eq(found, text, "%s instead of %s", found, text);
}

static void check(const char *channel, const char *payload, const char *master,
                  enum sentinel_instance instance, const char *address, const char *master_address,
                  const char *detail)
{
    struct sentinel_event event;

    cr_assert_eq(parse(channel, payload, &event), 0, "%s %s", channel, payload);
    cr_expect_str_eq(sentinel_event_channel(event.kind), channel);
    cr_expect_str_eq(event.master, master);
    cr_expect_eq(event.instance, instance);
    expect_address(&event.address, address);
    expect_address(&event.master_address, master_address);
    cr_expect_str_eq(event.detail, detail);
    cr_expect_eq(event.epoch, -1);
}

static void refuse(const char *channel, const char *payload)
{
    struct sentinel_event event, before;

    memset(&event, 0x5a, sizeof(event));
    before = event;
    cr_expect_eq(parse(channel, payload, &event), -BW_EPROTO, "%s %s", channel, payload);
    cr_expect_eq(memcmp(&event, &before, sizeof(event)), 0, "touched by %s %s", channel, payload);
}

Test(sentinel_event, switch_master)
{
    check("+switch-master", "mymaster 127.0.0.1 7000 127.0.0.1 7001", "mymaster",
          SENTINEL_INSTANCE_MASTER, "127.0.0.1:7001", "127.0.0.1:7000", "");
    check("+switch-master", "m ::1 7000 redis-2.local 7001", "m", SENTINEL_INSTANCE_MASTER,
          "redis-2.local:7001", "[::1]:7000", "");
    refuse("+switch-master", "");
    refuse("+switch-master", "mymaster 127.0.0.1 7000 127.0.0.1");
    refuse("+switch-master", "mymaster 127.0.0.1 7000 127.0.0.1 ");
    refuse("+switch-master", "mymaster 127.0.0.1 7000 127.0.0.1 70010");
    refuse("+switch-master", "mymaster 127.0.0.1 7000 127.0.0.1 7001 ");
    refuse("+switch-master", "mymaster 127.0.0.1 7000 127.0.0.1 7001 more");
    refuse("+switch-master", " mymaster 127.0.0.1 7000 127.0.0.1 7001");
    refuse("+switch-master", "my master 127.0.0.1 7000 127.0.0.1 7001");
    refuse("+switch-master", "mymaster 127.0.0.1 x 127.0.0.1 7001");
}

Test(sentinel_event, of_any_instance)
{
    static const char *const any[] = {"+sdown", "-sdown", "+reboot"};

    for (size_t i = 0; i < 3; i++) {
        check(any[i], MASTER_INST, "mymaster", SENTINEL_INSTANCE_MASTER, "127.0.0.1:7000",
              "127.0.0.1:7000", "");
        check(any[i], SLAVE_INST, "mymaster", SENTINEL_INSTANCE_SLAVE, "127.0.0.1:7001",
              "127.0.0.1:7000", "");
        check(any[i], SENTINEL_INST, "mymaster", SENTINEL_INSTANCE_SENTINEL, "127.0.0.1:7210",
              "127.0.0.1:7000", "");
    }
}

Test(sentinel_event, of_the_master)
{
    static const char *const channels[] = {"-odown",
                                           "+reset-master",
                                           "-monitor",
                                           "+try-failover",
                                           "+elected-leader",
                                           "+failover-state-select-slave",
                                           "+failover-state-reconf-slaves",
                                           "+failover-end",
                                           "+failover-end-for-timeout",
                                           "-failover-abort-not-elected",
                                           "-failover-abort-no-good-slave",
                                           "-failover-abort-slave-timeout",
                                           "-failover-abort-master-timeout"};

    for (size_t i = 0; i < sizeof(channels) / sizeof(*channels); i++) {
        check(channels[i], MASTER_INST, "mymaster", SENTINEL_INSTANCE_MASTER, "127.0.0.1:7000",
              "127.0.0.1:7000", "");
        refuse(channels[i], SLAVE_INST);
        refuse(channels[i], SENTINEL_INST);
    }
    check("+odown", MASTER_INST " #quorum 3/2", "mymaster", SENTINEL_INSTANCE_MASTER,
          "127.0.0.1:7000", "127.0.0.1:7000", "#quorum 3/2");
    check("+monitor", MASTER_INST " quorum 2", "mymaster", SENTINEL_INSTANCE_MASTER,
          "127.0.0.1:7000", "127.0.0.1:7000", "quorum 2");
    check("+set", MASTER_INST " notification-script /bin/a @ b 1.2.3.4 5", "mymaster",
          SENTINEL_INSTANCE_MASTER, "127.0.0.1:7000", "127.0.0.1:7000",
          "notification-script /bin/a @ b 1.2.3.4 5");
}

Test(sentinel_event, aborts)
{
    struct sentinel_event event;

    cr_expect_eq(parse("-failover-abort-not-elected", MASTER_INST, &event), 0);
    cr_expect_eq(event.kind, SENTINEL_EVENT_ABORT_NOT_ELECTED);
    cr_expect_eq(parse("-failover-abort-master-timeout", MASTER_INST, &event), 0);
    cr_expect_eq(event.kind, SENTINEL_EVENT_ABORT_MASTER_TIMEOUT);
    cr_expect_eq(parse("-failover-abort-for-want-of-a-word", MASTER_INST, &event), 0);
    cr_expect_eq(event.kind, SENTINEL_EVENT_ABORT_OTHER);
    cr_expect_str_eq(event.channel, "-failover-abort-for-want-of-a-word");
    cr_expect_eq(parse("+failover-abort-", MASTER_INST, &event), 0);
    cr_expect_eq(event.kind, SENTINEL_EVENT_OTHER);
}

Test(sentinel_event, of_a_replica)
{
    static const char *const channels[] = {"+slave",
                                           "+convert-to-slave",
                                           "+fix-slave-config",
                                           "+promoted-slave",
                                           "+slave-reconf-sent",
                                           "+slave-reconf-inprog",
                                           "+slave-reconf-done",
                                           "+slave-reconf-sent-be",
                                           "-slave-reconf-sent-timeout",
                                           "+selected-slave",
                                           "+failover-state-send-slaveof-noone",
                                           "+failover-state-wait-promotion"};

    for (size_t i = 0; i < sizeof(channels) / sizeof(*channels); i++) {
        check(channels[i], SLAVE_INST, "mymaster", SENTINEL_INSTANCE_SLAVE, "127.0.0.1:7001",
              "127.0.0.1:7000", "");
        refuse(channels[i], MASTER_INST);
    }
}

Test(sentinel_event, of_a_sentinel)
{
    check("+sentinel", SENTINEL_INST, "mymaster", SENTINEL_INSTANCE_SENTINEL, "127.0.0.1:7210",
          "127.0.0.1:7000", "");
    check("+config-update-from", SENTINEL_INST, "mymaster", SENTINEL_INSTANCE_SENTINEL,
          "127.0.0.1:7210", "127.0.0.1:7000", "");
    check("+sentinel-address-update", SENTINEL_INST " 2 additional matching instances", "mymaster",
          SENTINEL_INSTANCE_SENTINEL, "127.0.0.1:7210", "127.0.0.1:7000",
          "2 additional matching instances");
    refuse("+config-update-from", MASTER_INST);
}

Test(sentinel_event, with_words_behind)
{
    check("-role-change", SLAVE_INST " new reported role is master", "mymaster",
          SENTINEL_INSTANCE_SLAVE, "127.0.0.1:7001", "127.0.0.1:7000",
          "new reported role is master");
    check("+role-change", MASTER_INST " new reported role is master", "mymaster",
          SENTINEL_INSTANCE_MASTER, "127.0.0.1:7000", "127.0.0.1:7000",
          "new reported role is master");
    check("+sentinel-address-switch", MASTER_INST " ip 10.0.0.1 port 26379 for e7598912",
          "mymaster", SENTINEL_INSTANCE_MASTER, "127.0.0.1:7000", "127.0.0.1:7000",
          "ip 10.0.0.1 port 26379 for e7598912");
}

Test(sentinel_event, ipv6_has_brackets_in_names_only)
{
    check("+slave", "slave [2001:DB8::1]:7001 2001:DB8::1 7001 @ m ::1 7000", "m",
          SENTINEL_INSTANCE_SLAVE, "[2001:db8::1]:7001", "[::1]:7000", "");
}

Test(sentinel_event, odd_master_names)
{
    check("+sdown", "slave a:1 10.0.0.1 1 @ @ 10.0.0.2 2", "@", SENTINEL_INSTANCE_SLAVE,
          "10.0.0.1:1", "10.0.0.2:2", "");
    check("+sdown", "master a@b#c 10.0.0.1 1", "a@b#c", SENTINEL_INSTANCE_MASTER, "10.0.0.1:1",
          "10.0.0.1:1", "");
    check("+odown", "master # 10.0.0.1 1 #quorum 2/2", "#", SENTINEL_INSTANCE_MASTER, "10.0.0.1:1",
          "10.0.0.1:1", "#quorum 2/2");
    check("+sdown", "master master 10.0.0.1 1", "master", SENTINEL_INSTANCE_MASTER, "10.0.0.1:1",
          "10.0.0.1:1", "");
}

/* Where a Sentinel could not resolve a name it still says what happened. */
Test(sentinel_event, unresolved_address)
{
    check("+sdown", "slave x:7001  7001 @ m 10.0.0.1 7000", "m", SENTINEL_INSTANCE_SLAVE, "",
          "10.0.0.1:7000", "");
    check("+sdown", "master m 10.0.0.1 0", "m", SENTINEL_INSTANCE_MASTER, "", "", "");
}

Test(sentinel_event, epochs)
{
    struct sentinel_event event;

    cr_expect_eq(parse("+new-epoch", "12", &event), 0);
    cr_expect_eq(event.epoch, 12);
    cr_expect_str_eq(event.master, "");
    cr_expect_eq(parse("+new-epoch", "9223372036854775807", &event), 0);
    cr_expect_eq(event.epoch, INT64_MAX);
    refuse("+new-epoch", "9223372036854775808");
    refuse("+new-epoch", "-1");
    refuse("+new-epoch", "");
    refuse("+new-epoch", "1 ");
    refuse("+new-epoch", "1 2");
    cr_expect_eq(parse("+vote-for-leader", "e7598912a31a4b78b3cd7d41f40320ae9a80be7a 3", &event),
                 0);
    cr_expect_eq(event.epoch, 3);
    cr_expect_str_eq(event.detail, "e7598912a31a4b78b3cd7d41f40320ae9a80be7a");
    refuse("+vote-for-leader", "e7598912");
    refuse("+vote-for-leader", " 3");
    refuse("+vote-for-leader", "e7598912 x");
    refuse("+vote-for-leader", "e7598912 3 4");
}

Test(sentinel_event, tilt)
{
    check("+tilt", "#tilt mode entered", "", SENTINEL_INSTANCE_NONE, "", "", "#tilt mode entered");
    check("-tilt", "#tilt mode exited", "", SENTINEL_INSTANCE_NONE, "", "", "#tilt mode exited");
    check("-tilt", "", "", SENTINEL_INSTANCE_NONE, "", "", "");
}

Test(sentinel_event, refused)
{
    static const char *const bad[] = {
        "",
        " ",
        "master",
        "master ",
        "master mymaster",
        "master mymaster 127.0.0.1",
        "master mymaster 127.0.0.1 ",
        "master mymaster 127.0.0.1 x",
        "master mymaster 127.0.0.1 70000",
        "master mymaster 127.0.0.1 -1",
        "master mymaster not_a_host! 7000",
        "master my master 127.0.0.1 7000",
        "master  127.0.0.1 7000",
        "Master mymaster 127.0.0.1 7000",
        "replica 127.0.0.1:7001 127.0.0.1 7001 @ mymaster 127.0.0.1 7000",
        "slave 127.0.0.1:7001 127.0.0.1 7001",
        "slave 127.0.0.1:7001 127.0.0.1 7001 @",
        "slave 127.0.0.1:7001 127.0.0.1 7001 @ mymaster",
        "slave 127.0.0.1:7001 127.0.0.1 7001 @ mymaster 127.0.0.1",
        "slave 127.0.0.1:7001 127.0.0.1 7001 # mymaster 127.0.0.1 7000",
        "slave 127.0.0.1:7001 127.0.0.1 7001  @ mymaster 127.0.0.1 7000",
        "master my\nmaster 127.0.0.1 7000",
        "master \xff 127.0.0.1 7000"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        refuse("+sdown", bad[i]);
    }
}

Test(sentinel_event, unknown_channel)
{
    struct sentinel_event event;

    cr_expect_eq(parse("+something-new", SLAVE_INST " and more", &event), 0);
    cr_expect_eq(event.kind, SENTINEL_EVENT_OTHER);
    cr_expect_str_eq(event.master, "mymaster");
    cr_expect_eq(event.instance, SENTINEL_INSTANCE_SLAVE);
    cr_expect_str_eq(event.detail, "and more");
    cr_expect_eq(parse("+sdow", "slave half", &event), 0);
    cr_expect_eq(event.kind, SENTINEL_EVENT_OTHER);
    cr_expect_eq(event.instance, SENTINEL_INSTANCE_NONE);
    cr_expect_str_eq(event.master, "");
    cr_expect_str_eq(event.detail, "slave half");
    cr_expect_eq(parse("", "", &event), 0);
    cr_expect_eq(event.kind, SENTINEL_EVENT_OTHER);
    cr_expect_str_eq(sentinel_event_channel(SENTINEL_EVENT_OTHER), "");
}

Test(sentinel_event, detail_is_cut_and_cleaned)
{
    struct sentinel_event event;
    char payload[600] = MASTER_INST " ";

    memset(payload + strlen(payload), 'd', 400);
    cr_expect_eq(parse("+set", payload, &event), 0);
    cr_expect_eq(strlen(event.detail), sizeof(event.detail) - 1);
    cr_expect_eq(parse("+set", MASTER_INST " a\nb\x1b\xc3\xa4", &event), 0);
    cr_expect_str_eq(event.detail, "a?b???");
}

static void check_recording(const char *file, size_t at_least, const char *first_switch,
                            size_t n_switches)
{
    struct wire wire = wire_open(file);
    size_t n = 0, switches = 0;
    redisReply *reply;

    while ((reply = wire_next(&wire))) {
        if (reply->elements == 4 &&
            (reply->type == REDIS_REPLY_PUSH || reply->type == REDIS_REPLY_ARRAY)) {
            const redisReply *channel = reply->element[2], *payload = reply->element[3];
            struct sentinel_event event;

            cr_expect_eq(sentinel_parse_event(channel->str, channel->len, payload->str,
                                              payload->len, &event),
                         0, "%s %s", channel->str, payload->str);
            cr_expect_neq(event.kind, SENTINEL_EVENT_OTHER, "%s", channel->str);
            if (event.kind == SENTINEL_EVENT_SWITCH_MASTER && switches++ == 0) {
                expect_address(&event.master_address, first_switch);
            }
            n++;
        }
        freeReplyObject(reply);
    }
    cr_expect_geq(n, at_least, "%zu events in %s", n, file);
    cr_expect_eq(switches, n_switches);
    wire_close(&wire);
}

Test(sentinel_event, recorded_failovers)
{
    check_recording("subscribed-0.resp", 30, "127.0.0.1:45635", 2);
    check_recording("subscribed-1.resp", 25, "127.0.0.1:45635", 2);
    check_recording("subscribed-2-resp2.resp", 15, "127.0.0.1:45635", 2);
}

Test(sentinel_event, for_people)
{
    struct sentinel_event event;
    char longer[400];

    cr_assert_eq(parse("+sdown", MASTER_INST " more", &event), 0);
    cr_expect_str_eq(event.channel, "+sdown");
    cr_expect_str_eq(event.payload, MASTER_INST " more");
    cr_assert_eq(parse("+brand-new", "caf\xc3\xa9 \x01\n\x7f\xff\xc2\x85 end", &event), 0);
    cr_expect_str_eq(event.channel, "+brand-new");
    cr_expect_str_eq(event.payload, "caf\xc3\xa9 ????? end");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memcpy(longer + 254, "\xe2\x82\xac", 3); /* would be cut in the middle */
    cr_assert_eq(parse("+brand-new", longer, &event), 0);
    cr_expect_eq(strlen(event.payload), 254);
}
