/*
 * /events: beginning, changes, Sentinels' events, replay, heartbeat, slow readers, the bound, the
 * end.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/metrics/counters.h"
#include "suite_harness.h"

static void start_with(int64_t heartbeat_ms, size_t ring)
{
    harness_init(&harness);
    harness.config.max_waiters = 10;
    harness.config.heartbeat_ms = heartbeat_ms;
    harness.config.ring_events = ring;
    harness_start(&harness);
}

static void start(void)
{
    start_with(0, 0);
}

static void start_beating(void)
{
    start_with(200, 0);
}

static void start_small(void)
{
    start_with(0, 20);
}

/* Its answers have to be taken much sooner than the second beat comes. */
static void start_hasty(void)
{
    harness_init(&harness);
    harness.config.max_waiters = 10;
    harness.config.heartbeat_ms = 4000;
    harness.config.request_timeout_ms = 800;
    harness.config.metrics = metrics_new(1);
    harness_start(&harness);
}

static void close_hasty(void)
{
    struct metrics *metrics = harness.config.metrics;

    close_harness();
    metrics_free(metrics);
}

TestSuite(http_streams, .init = start, .fini = close_harness, .timeout = 60);
TestSuite(http_streams_beating, .init = start_beating, .fini = close_harness, .timeout = 60);
TestSuite(http_streams_hasty, .init = start_hasty, .fini = close_hasty, .timeout = 60);
TestSuite(http_streams_small, .init = start_small, .fini = close_harness, .timeout = 60);

/* ---- what happens ---- */

static struct snapshot_master *master_at(const char *name, const char *address, uint64_t index)
{
    struct snapshot_master *master = make_master(name);

    master->address = make_address(address);
    master->index = master->revision = index;
    return master;
}

static void post(const char *address, uint64_t index)
{
    harness_post(&harness, make_snapshot(master_at("mymaster", address, index), NULL, NULL));
}

static void post_event(const char *master, const char *channel, const char *detail)
{
    struct message_event message = {.wall_ms = INT64_C(1795348800123)};

    snprintf(message.master, sizeof(message.master), "%s", master);
    snprintf(message.sentinel, sizeof(message.sentinel), "10.0.2.1:26379");
    snprintf(message.channel, sizeof(message.channel), "%s", channel);
    snprintf(message.detail, sizeof(message.detail), "%s", detail);
    mailbox_post(worker_mailbox(harness.worker), message_event_new(&message));
}

/* ---- a reader ---- */

struct reader {
    int fd;
    bool chunked;
    struct reply head;
    char *text; /* the body so far, chunks joined */
    size_t size, seen, room;
    char bytes[4096]; /* as they came; from `taken` to `came` they were not looked at */
    size_t taken, came;
};

static bool read_byte(struct reader *reader, char *byte)
{
    if (reader->taken == reader->came) {
        ssize_t n = receive(reader->fd, reader->bytes, sizeof(reader->bytes));

        if (n <= 0) {
            return false;
        }
        reader->taken = 0;
        reader->came = (size_t)n;
    }
    *byte = reader->bytes[reader->taken++];
    return true;
}

static bool append(struct reader *reader)
{
    char byte;

    if (!read_byte(reader, &byte)) {
        return false;
    }
    if (reader->size + 2 > reader->room) {
        reader->room = 2 * reader->room + 1024;
        reader->text = mem_resize(reader->text, reader->room, 1);
    }
    reader->text[reader->size++] = byte;
    reader->text[reader->size] = '\0';
    return true;
}

/* One chunk, or one byte. @return false at the end. */
static bool read_more(struct reader *reader)
{
    char line[32] = "";
    size_t n = 0, left;

    if (!reader->chunked) {
        return append(reader);
    }
    while (n + 1 < sizeof(line) && (n < 2 || line[n - 1] != '\n')) {
        if (!read_byte(reader, &line[n++])) {
            return false;
        }
    }
    left = strtoul(line, NULL, 16);
    if (left == 0) { /* the last chunk, and the line behind it */
        (void)(read_byte(reader, &line[0]) && read_byte(reader, &line[1]));
        return false;
    }
    while (left-- > 0) {
        if (!append(reader)) {
            return false;
        }
    }
    return read_byte(reader, &line[0]) && read_byte(reader, &line[1]);
}

static struct reader open_with(const char *target, const char *version, const char *more)
{
    struct reader reader = {.fd = dial(&harness, LISTEN_ALL), .text = mem_new(1, 1)};
    char text[1024];

    snprintf(text, sizeof(text), "GET %s HTTP/%s\r\nHost: x\r\n%s\r\n", target, version,
             more ? more : "");
    send_text(reader.fd, text);
    reader.head = read_reply(reader.fd, false);
    reader.chunked = strcmp(header_of(&reader.head, "transfer-encoding"), "chunked") == 0;
    cr_expect_eq(reader.head.status, 200, "%s", reader.head.head);
    return reader;
}

static struct reader open_stream(const char *target)
{
    return open_with(target, "1.1", NULL);
}

static struct reader open_after(const char *target, const char *id)
{
    char more[1024];

    snprintf(more, sizeof(more), "Last-Event-ID: %.90s\r\n", id);
    return open_with(target, "1.1", more);
}

/* Read until this text has come (behind what was waited for before). */
static bool wait_for(struct reader *reader, const char *part)
{
    size_t from = reader->seen, length = strlen(part);
    const char *found;

    while (!(found = strstr(reader->text + from, part))) {
        /* it may have begun at the end of what has come */
        from = reader->size > reader->seen + length ? reader->size - length : reader->seen;
        if (!read_more(reader)) {
            return false;
        }
    }
    reader->seen = (size_t)(found - reader->text) + strlen(part);
    return true;
}

/* The id in front of where the reader is now, in a static buffer. */
static const char *last_id(struct reader *reader)
{
    static char id[64];
    const char *at = reader->text, *next;

    id[0] = '\0';
    while ((next = strstr(at, "id: ")) && next < reader->text + reader->seen) {
        snprintf(id, sizeof(id), "%.*s", (int)strcspn(next + 4, "\n"), next + 4);
        at = next + 4;
    }
    return id;
}

static size_t count(const struct reader *reader, const char *part)
{
    size_t n = 0;

    for (const char *at = reader->text; (at = strstr(at, part)); at += strlen(part)) {
        n++;
    }
    return n;
}

static bool ends(struct reader *reader)
{
    while (read_more(reader)) {
    }
    return true;
}

static void leave(struct reader *reader)
{
    close(reader->fd);
    reply_release(&reader->head);
    free(reader->text);
}

#define EXPECT(reader, part) \
    cr_expect(wait_for(reader, part), "no \"%s\" in:\n%s", part, (reader)->text)

/* ---- beginning and changes ---- */

Test(http_streams, headers)
{
    struct reader reader;
    struct reply reply;

    post("10.0.0.12:6379", 7);
    reader = open_stream("/events");
    cr_expect_str_eq(header_of(&reader.head, "content-type"), "text/event-stream");
    cr_expect_str_eq(header_of(&reader.head, "cache-control"), "no-store");
    cr_expect_str_eq(header_of(&reader.head, "x-content-type-options"), "nosniff");
    cr_expect(reader.chunked);
    leave(&reader);
    reply = ask(&harness, "HEAD", "/events", NULL);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(header_of(&reply, "content-type"), "text/event-stream");
    reply_release(&reply);
    reply = ask(&harness, "POST", "/events", NULL);
    cr_expect_eq(reply.status, 405);
    reply_release(&reply);
    reply = ask(&harness, "OPTIONS", "/events", NULL);
    cr_expect_eq(reply.status, 204);
    reply_release(&reply);
    reply = ask_probe(&harness, "GET", "/events");
    cr_expect_eq(reply.status, 404);
    reply_release(&reply);
}

Test(http_streams, the_present_then_every_change)
{
    struct reader reader;

    post("10.0.0.12:6379", 7);
    reader = open_stream("/events");
    EXPECT(&reader, "event: master\ndata: {\"name\":\"mymaster\",\"state\":\"ok\"");
    EXPECT(&reader, "\"index\":7");
    EXPECT(&reader, "\n\n");
    post("10.0.0.12:6379", 7); /* no change of the body */
    harness_post(&harness,
                 make_snapshot(make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE),
                               NULL, NULL)); /* nor one of the index */
    post("10.0.0.13:6379", 8);
    EXPECT(&reader, "\"address\":\"10.0.0.13:6379\"");
    cr_expect_eq(count(&reader, "event: master"), 2, "%s", reader.text);
    {
        struct snapshot_master *down =
            make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE);

        down->index = 9;
        harness_post(&harness, make_snapshot(down, NULL, NULL));
    }
    EXPECT(&reader, "\"state\":\"down\",\"reason\":\"redis_unreachable\"");
    EXPECT(&reader, "\"stale\":true");
    leave(&reader);
}

Test(http_streams, sentinels_events)
{
    struct reader reader;

    post("10.0.0.12:6379", 7);
    reader = open_with("/events", "1.0", NULL);
    cr_expect(!reader.chunked);
    EXPECT(&reader, "\"index\":7");
    post_event("mymaster", "+sdown", "master mymaster 10.0.0.12 6379");
    EXPECT(&reader,
           "event: sentinel\ndata: {\"at\":\"2026-11-22T12:00:00.123Z\",\"master\":\"mymaster\","
           "\"sentinel\":\"10.0.2.1:26379\",\"event\":\"+sdown\",\"detail\":\"master mymaster "
           "10.0.0.12 6379\"}\n\n");
    post_event("", "+tilt", "#tilt mode entered");
    EXPECT(&reader, "\"master\":null,\"sentinel\":\"10.0.2.1:26379\",\"event\":\"+tilt\"");
    leave(&reader);
}

Test(http_streams, one_master)
{
    struct reader reader;
    struct reply reply;

    harness_post(&harness, make_snapshot(make_master("a"), make_master("b"), make_master("c")));
    reader = open_stream("/events?master=b");
    EXPECT(&reader, "\"name\":\"b\"");
    EXPECT(&reader, "\n\n");
    post_event("a", "+sdown", "x");
    post_event("b", "-sdown", "y");
    post_event("c", "+odown", "x");
    post_event("", "+tilt", "z");
    harness_post(&harness,
                 make_snapshot(master_at("a", "10.0.0.1:1", 8), master_at("b", "10.0.0.2:1", 9),
                               master_at("c", "10.0.0.3:1", 10)));
    EXPECT(&reader, "10.0.0.2:1");
    cr_expect_eq(count(&reader, "event: "), 4, "%s", reader.text);
    cr_expect_eq(count(&reader, "\"event\":\"-sdown\""), 1);
    leave(&reader);
    reply = get(&harness, "/events?master=nobody");
    cr_expect_eq(reply.status, 404);
    cr_expect(strstr(reply.body, "unknown-master"));
    reply_release(&reply);
    reply = get(&harness, "/events?master=");
    cr_expect_eq(reply.status, 400);
    reply_release(&reply);
}

Test(http_streams, before_the_first_snapshot)
{
    struct reader reader = open_stream("/events"), named = open_stream("/events?master=mymaster");

    EXPECT(&reader, "retry: ");
    post("10.0.0.12:6379", 7);
    EXPECT(&reader, "\"index\":7");
    EXPECT(&named, "\"index\":7");
    cr_expect_eq(count(&reader, "event: master"), 1);
    leave(&reader);
    leave(&named);
}

Test(http_streams, no_master_at_all)
{
    struct reader reader;

    harness_post(&harness, make_snapshot(NULL, NULL, NULL));
    reader = open_stream("/events");
    EXPECT(&reader, "id: ");
    EXPECT(&reader, "\n\n");
    cr_expect_eq(count(&reader, "event: "), 0);
    leave(&reader);
}

Test(http_streams, a_silent_watcher_is_said)
{
    struct reader reader;

    post("10.0.0.12:6379", 7);
    atomic_store(&harness.pulses[0].at_boot_ms, clock_boot_ms() - WATCHER_SILENT_MS - 1);
    reader = open_stream("/events");
    EXPECT(&reader, "\"reason\":\"watcher_stalled\"");
    EXPECT(&reader, "\"verified\":false");
    EXPECT(&reader, "\"stale\":true");
    leave(&reader);
}

/* ---- replay ---- */

Test(http_streams, replay)
{
    struct reader reader;
    char id[64];

    post("10.0.0.12:6379", 7);
    reader = open_stream("/events");
    EXPECT(&reader, "\"index\":7");
    snprintf(id, sizeof(id), "%s", last_id(&reader));
    leave(&reader);
    post_event("mymaster", "+sdown", "one");
    post("10.0.0.13:6379", 8);
    post_event("mymaster", "-sdown", "two");
    reader = open_after("/events", id);
    EXPECT(&reader, "\"detail\":\"one\"");
    EXPECT(&reader, "10.0.0.13:6379");
    EXPECT(&reader, "\"detail\":\"two\"");
    cr_expect_eq(count(&reader, "event: "), 3, "the present is not repeated: %s", reader.text);
    snprintf(id, sizeof(id), "%s", last_id(&reader));
    leave(&reader);
    reader = open_after("/events", id);
    EXPECT(&reader, "retry: ");
    post_event("mymaster", "+odown", "three");
    EXPECT(&reader, "\"detail\":\"three\"");
    cr_expect_eq(count(&reader, "event: "), 1, "%s", reader.text);
    leave(&reader);
}

Test(http_streams, ids_that_lead_nowhere_begin_with_the_present)
{
    struct reader reader;
    char ids[6][96], instance[17];

    post("10.0.0.12:6379", 7);
    post_event("mymaster", "+sdown", "one");
    reader = open_stream("/events");
    EXPECT(&reader, "\"index\":7");
    snprintf(instance, sizeof(instance), "%.16s", last_id(&reader));
    leave(&reader);
    snprintf(ids[0], sizeof(ids[0]), "0123456789abcdef-1");
    snprintf(ids[1], sizeof(ids[1]), "%s-3", instance);
    snprintf(ids[2], sizeof(ids[2]), "%s-x", instance);
    snprintf(ids[3], sizeof(ids[3]), "nonsense");
    snprintf(ids[4], sizeof(ids[4]), "%s-18446744073709551615", instance);
    snprintf(ids[5], sizeof(ids[5]), "%s-0", instance);
    for (int i = 0; i < 6; i++) {
        reader = open_after("/events", ids[i]);
        EXPECT(&reader, "\"index\":7");
        cr_expect_eq(count(&reader, "event: sentinel"), 0, "%s", ids[i]);
        leave(&reader);
    }
}

Test(http_streams, a_beginning_that_broke_off_begins_again)
{
    struct reader reader;
    char id[64];

    harness_post(&harness, make_snapshot(make_master("a"), make_master("b"), make_master("c")));
    reader = open_stream("/events");
    EXPECT(&reader, "\"name\":\"b\"");
    snprintf(id, sizeof(id), "%s", last_id(&reader));
    leave(&reader);
    reader = open_after("/events", id);
    EXPECT(&reader, "\"name\":\"a\"");
    EXPECT(&reader, "\"name\":\"c\"");
    snprintf(id, sizeof(id), "%s", last_id(&reader));
    leave(&reader);
    reader = open_after("/events", id);
    post_event("a", "+sdown", "one");
    EXPECT(&reader, "one");
    cr_expect_eq(count(&reader, "event: "), 1);
    leave(&reader);
}

Test(http_streams_small, what_was_overwritten_is_not_replayed)
{
    struct reader reader;
    char id[64], text[32];

    post("10.0.0.12:6379", 7);
    reader = open_stream("/events");
    EXPECT(&reader, "\"index\":7");
    snprintf(id, sizeof(id), "%s", last_id(&reader));
    for (int i = 0; i < 60; i++) { /* far more than the ring holds: a quick reader gets them all */
        snprintf(text, sizeof(text), "number %d;", i);
        post_event("mymaster", "+sdown", text);
    }
    for (int i = 0; i < 60; i++) {
        snprintf(text, sizeof(text), "number %d;", i);
        EXPECT(&reader, text);
    }
    leave(&reader);
    reader = open_after("/events", id);
    EXPECT(&reader, "\"index\":7");
    cr_expect_eq(count(&reader, "event: sentinel"), 0);
    leave(&reader);
}

/* ---- heartbeat ---- */

Test(http_streams_beating, comments_keep_it_open)
{
    struct reader reader;
    int64_t before_ms = clock_boot_ms();

    post("10.0.0.12:6379", 7);
    reader = open_stream("/events");
    for (int i = 0; i < 4; i++) {
        EXPECT(&reader, "\n\n: ");
    }
    cr_expect_geq(clock_boot_ms() - before_ms, 700);
    post("10.0.0.13:6379", 8);
    EXPECT(&reader, "10.0.0.13:6379");
    leave(&reader);
}

Test(http_streams_beating, dead_peers_are_noticed_and_give_their_place_back)
{
    int status = 0;

    post("10.0.0.12:6379", 7);
    for (int i = 0; i < 10; i++) {
        struct reader reader = open_stream("/events");

        leave(&reader);
    }
    for (int i = 0; i < 300 && status != 200; i++) {
        int fd = dial(&harness, LISTEN_ALL);
        struct reply reply;

        send_text(fd, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
        reply = read_reply(fd, false);
        status = reply.status;
        reply_release(&reply);
        close(fd);
        usleep(10000);
    }
    cr_expect_eq(status, 200);
}

Test(http_streams_hasty, who_leaves_is_no_slow_reader)
{
    const struct metrics_http *counts = metrics_http(harness.config.metrics, 0);
    struct reader reader;

    post("10.0.0.12:6379", 7);
    reader = open_stream("/events");
    EXPECT(&reader, "\"index\":7");
    leave(&reader);
    for (int i = 0; i < 3000 && metric_look(&counts->long_polls[METRIC_WAITER_STREAM]) != 0; i++) {
        usleep(10000);
    }
    cr_expect_eq(metric_look(&counts->long_polls[METRIC_WAITER_STREAM]), 0);
    cr_expect_eq(metric_read(&counts->rejected[METRIC_REJECTION_SLOW_READER]), 0);
}

/* ---- slow readers ---- */

Test(http_streams_small, a_slow_reader_is_cut_and_the_others_are_not)
{
    struct reader slow, quick;
    char detail[256], text[64];
    int few = 4096, events = 6000, cut = 0;

    memset(detail, 'x', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    post("10.0.0.12:6379", 7);
    slow = open_stream("/events");
    quick = open_stream("/events");
    setsockopt(slow.fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few));
    for (int i = 0; i < events; i++) {
        snprintf(text, sizeof(text), "number %d;", i);
        memcpy(detail, text, strlen(text));
        post_event("mymaster", "+sdown", detail);
        if (i % 8 == 7) { /* never further behind than the ring is long */
            EXPECT(&quick, text);
            quick.text[0] = '\0';
            quick.size = quick.seen = 0;
        }
    }
    while (read_more(&slow)) { /* what is on its way, then the end, without the last chunk */
    }
    cr_expect(!strstr(slow.text, "number 5999;"));
    cut = strstr(slow.text, "number 0;") != NULL;
    cr_expect(cut, "it got what came in time");
    post_event("mymaster", "-sdown", "still there");
    EXPECT(&quick, "still there");
    {
        struct reader again = open_after("/events", last_id(&quick));

        post_event("mymaster", "-sdown", "back again");
        EXPECT(&again, "back again");
        leave(&again);
    }
    leave(&slow);
    leave(&quick);
}

/* ---- the end ---- */

Test(http_streams, draining_ends_streams_and_those_that_come_go_on)
{
    struct reader reader, late;

    post("10.0.0.12:6379", 7);
    reader = open_stream("/events");
    EXPECT(&reader, "\"index\":7");
    harness_news(&harness, MESSAGE_DRAIN);
    cr_expect(ends(&reader));
    cr_expect(reads_end(reader.fd), "and with it the connection");
    leave(&reader);
    late = open_stream("/events");
    EXPECT(&late, "\"index\":7");
    post("10.0.0.13:6379", 8);
    EXPECT(&late, "10.0.0.13:6379");
    leave(&late);
}

static void restart(void)
{
    close_harness();
    start();
}

static int64_t end_with_streams_open(void)
{
    struct reader reader, silent;
    int64_t before_ms;

    post("10.0.0.12:6379", 7);
    reader = open_stream("/events");
    silent = open_stream("/events");
    EXPECT(&reader, "\"index\":7");
    before_ms = clock_boot_ms();
    worker_stop(harness.worker);
    before_ms = clock_boot_ms() - before_ms;
    cr_expect(ends(&reader));
    leave(&reader);
    leave(&silent);
    return before_ms;
}

Test(http_streams, the_worker_ends_with_streams_open)
{
    cr_expect(harness_is_within(900, end_with_streams_open, restart));
}

Test(http_streams, many_masters_begin_one_stream)
{
    enum { MANY = 400 };
    struct snapshot *snapshot = snapshot_new(MANY);
    struct reader reader, early = open_stream("/events");
    char name[32];

    snapshot->index = 7;
    snapshot->n_masters = MANY;
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "master-%04d", i);
        snapshot->masters[i] = make_master(name);
    }
    snapshot->any_sentinel_reachable = snapshot->all_resolved = true;
    harness_post(&harness, snapshot);
    EXPECT(&early, "\"name\":\"master-0399\"");
    reader = open_stream("/events");
    EXPECT(&reader, "\"name\":\"master-0399\"");
    cr_expect_eq(count(&reader, "event: master"), MANY);
    cr_expect_eq(count(&early, "event: master"), MANY);
    leave(&reader);
    leave(&early);
}
