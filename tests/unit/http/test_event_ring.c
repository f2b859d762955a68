/* The ring of events, and the events as text. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"
#include "fixture.h"
#include "http/render/event_text.h"
#include "http/server/event_ring.h"

static void add(struct ring *ring, int n)
{
    char text[32];

    snprintf(text, sizeof(text), "event %d", n);
    ring_add(ring, n % 2 ? "odd" : NULL, mem_strdup(text), strlen(text));
}

static void expect_holds(const struct ring *ring, int first, int last)
{
    cr_expect_eq(ring_first(ring), (uint64_t)first);
    cr_expect_eq(ring_next(ring), (uint64_t)last + 1);
    cr_expect_null(ring_at(ring, (uint64_t)first - 1));
    cr_expect_null(ring_at(ring, (uint64_t)last + 1));
    for (int n = first; n <= last; n++) {
        const struct ring_entry *entry = ring_at(ring, (uint64_t)n);
        char text[32];

        snprintf(text, sizeof(text), "event %d", n);
        cr_assert_not_null(entry);
        cr_expect_str_eq(entry->text, text);
        cr_expect_eq(entry->size, strlen(text));
        cr_expect_eq(entry->about != NULL, n % 2 == 1);
    }
}

Test(http_ring, numbers_and_room)
{
    struct ring *ring = ring_new(4);

    expect_holds(ring, 1, 0);
    for (int n = 1; n <= 11; n++) {
        add(ring, n);
        expect_holds(ring, n > 4 ? n - 3 : 1, n);
    }
    ring_widen(ring, 3);
    cr_expect_eq(ring_capacity(ring), 4);
    ring_widen(ring, 7);
    expect_holds(ring, 8, 11);
    for (int n = 12; n <= 30; n++) {
        add(ring, n);
    }
    expect_holds(ring, 24, 30);
    ring_free(ring);
    ring_free(NULL);
}

Test(http_ring, ids)
{
    static const char instance[] = "00112233aabbccdd";
    static const char *const bad[] = {
        "",
        "7",
        "00112233aabbccdd",
        "00112233aabbccdd-",
        "00112233aabbccdd-x",
        "00112233aabbccdd--1",
        "00112233aabbccdd-1 ",
        "00112233aabbccde-1",
        "00112233aabbccdd-99999999999999999999",
        "x00112233aabbccdd-1",
    };
    uint64_t number = 5;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_neq(event_text_number(instance, bad[i], &number), 0, "%s", bad[i]);
        cr_expect_eq(number, 5, "untouched");
    }
    cr_expect_eq(event_text_number(instance, "00112233aabbccdd-17", &number), 0);
    cr_expect_eq(number, 17);
}

Test(http_ring, whatever_a_sentinel_says_stays_on_its_line)
{
    struct message_event message = {
        .wall_ms = 0, .channel = "+odd", .detail = "a\nb\r\n\ndata: x\x01\xff\"\\"};
    size_t size;
    char *text = event_text_sentinel("i", 3, &message, &size);

    cr_expect_eq(strlen(text), size);
    cr_expect_eq(strncmp(text, "id: i-3\nevent: sentinel\ndata: {", 31), 0, "%s", text);
    cr_expect_eq(strcmp(text + size - 3, "}\n\n"), 0);
    for (size_t i = 0, lines = 0; i < size; i++) {
        lines += text[i] == '\n';
        cr_expect(text[i] == '\n' || (unsigned char)text[i] >= ' ');
        cr_expect_leq(lines, 4);
    }
    free(text);
}

Test(http_ring, a_master_that_does_not_serve)
{
    struct snapshot_master *master =
        make_master_in("mymaster", MASTER_DOWN, REASON_REDIS_UNREACHABLE);
    size_t size;
    char *text = event_text_master("i", 3, master, false, &size);

    cr_expect(strstr(text, "\"state\":\"down\"") && strstr(text, "\"stale\":true"), "%s", text);
    free(text);
    text = event_text_master("i", 9, NULL, false, &size);
    cr_expect_str_eq(text, "id: i-9\n\n");
    free(text);
    snapshot_master_unref(master);
}
