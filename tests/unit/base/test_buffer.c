/*
 * Bytes that grow: what was put in comes out, and room is asked for no oftener, and no more of it,
 * than it must be.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/buffer.h"

Test(base_buffer, an_empty_one_owns_nothing)
{
    struct buffer buffer = {0};
    size_t size = 7;

    buffer_add(&buffer, NULL, 0);
    buffer_add_text(&buffer, "");
    cr_expect_null(buffer.bytes);
    cr_expect_null(buffer_take(&buffer, &size));
    cr_expect_eq(size, 0);
    buffer_release(&buffer);
    buffer_release(&buffer);
}

Test(base_buffer, what_was_added_stands_there_in_order)
{
    struct buffer buffer = {0};
    char *all = malloc(100000), *to;

    for (size_t i = 0; i < 100000; i += 10) {
        memset(all + i, 'a' + (int)(i / 10 % 26), 10);
        if (i % 20 == 0) {
            buffer_add(&buffer, all + i, 10);
        } else {
            to = buffer_reserve(&buffer, 10);
            memcpy(to, all + i, 10);
            buffer.size += 10;
        }
    }
    cr_assert_eq(buffer.size, 100000);
    cr_expect_eq(memcmp(buffer.bytes, all, 100000), 0);
    free(all);
    buffer_release(&buffer);
    cr_expect_null(buffer.bytes);
    cr_expect_eq(buffer.size + buffer.room, 0);
}

Test(base_buffer, many_small_additions_are_few_allocations)
{
    struct buffer buffer = {0};
    size_t grown = 0;

    for (size_t i = 0; i < 1000000; i++) {
        size_t room = buffer.room;

        buffer_add(&buffer, "x", 1);
        grown += buffer.room != room;
    }
    cr_expect_lt(grown, 20, "%zu", grown);
    cr_expect_lt(buffer.room, 2100000);
    buffer_release(&buffer);
}

Test(base_buffer, a_large_addition_gets_what_it_asks_for)
{
    struct buffer buffer = {0};

    buffer_add_text(&buffer, "{\"result\":");
    (void)buffer_reserve(&buffer, 5000000);
    cr_expect_eq(buffer.size, 10);
    cr_expect_eq(buffer.room, 5000010);
    buffer_release(&buffer);
}

Test(base_buffer, room_that_is_there_moves_nothing)
{
    struct buffer buffer = {0};
    char *before = buffer_reserve(&buffer, 1000);

    for (int i = 0; i < 100; i++) {
        buffer_add_text(&buffer, "0123456789");
        cr_assert_eq(buffer.bytes, before);
    }
    cr_expect_eq(buffer.size, 1000);
    buffer_release(&buffer);
}

Test(base_buffer, taken_bytes_are_the_takers)
{
    struct buffer buffer = {0};
    size_t size = 0;
    char *bytes;

    buffer_add_text(&buffer, "hello");
    bytes = buffer_take(&buffer, &size);
    cr_assert_eq(size, 5);
    cr_expect_eq(memcmp(bytes, "hello", 5), 0);
    cr_expect_null(buffer.bytes);
    cr_expect_eq(buffer.size + buffer.room, 0);
    buffer_add_text(&buffer, "again");
    cr_expect_neq(buffer.bytes, bytes);
    buffer_release(&buffer);
    free(bytes);
}

Test(base_buffer, integers_are_written_in_decimal)
{
    static const struct {
        int64_t number;
        const char *text;
    } rows[] = {{0, "0"},
                {7, "7"},
                {-1, "-1"},
                {10, "10"},
                {-1000, "-1000"},
                {INT64_MAX, "9223372036854775807"},
                {INT64_MIN, "-9223372036854775808"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer buffer = {0};

        buffer_add_integer(&buffer, rows[i].number);
        cr_expect_eq(buffer.size, strlen(rows[i].text), "%s", rows[i].text);
        cr_expect_eq(memcmp(buffer.bytes, rows[i].text, buffer.size), 0, "%s", rows[i].text);
        buffer_release(&buffer);
    }
}

/* More than there can be must not wrap around to a little. */
Test(base_buffer, an_impossible_size_ends_the_process, .signal = 6)
{
    struct buffer buffer = {0};

    buffer_add_text(&buffer, "x");
    (void)buffer_reserve(&buffer, SIZE_MAX - 1);
}

Test(base_buffer, text_is_terminated_and_its_end_is_not_counted)
{
    struct buffer buffer = {0};
    size_t size = 7;
    char *text = buffer_take_text(&buffer, &size);

    cr_expect_str_eq(text, "");
    cr_expect_eq(size, 0);
    free(text);
    buffer_add_text(&buffer, "text");
    text = buffer_take_text(&buffer, &size);
    cr_expect_str_eq(text, "text");
    cr_expect_eq(size, 4);
    free(text);
    cr_expect_null(buffer.bytes);
}
