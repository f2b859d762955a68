/* Cursors that carry their server's tag. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/redis/cursor.h"

#define RUN_ID "0123456789abcdef0123456789abcdef01234567"
#define LARGEST ((UINT64_C(1) << 33) - 1) /* that has room for a tag */

static uint32_t tag_of(uint64_t secret, const char *host, uint16_t port, const char *run_id,
                       bool is_master, uint64_t switches)
{
    struct address address = {.port = port};
    struct cursor_home home = {&address, run_id, is_master, switches};

    snprintf(address.host, sizeof(address.host), "%s", host);
    return cursor_tag(secret, &home);
}

Test(redis_cursor, a_tag_is_of_one_server_as_long_as_its_cursors_are_good)
{
    const uint32_t tag = tag_of(7, "10.0.0.1", 6379, RUN_ID, true, 3);
    const uint32_t others[] = {tag_of(8, "10.0.0.1", 6379, RUN_ID, true, 3),
                               tag_of(7, "10.0.0.2", 6379, RUN_ID, true, 3),
                               tag_of(7, "10.0.0.1", 6380, RUN_ID, true, 3),
                               tag_of(7, "10.0.0.1", 6379, "1" RUN_ID, true, 3),
                               tag_of(7, "10.0.0.1", 6379, RUN_ID, false, 3),
                               tag_of(7, "10.0.0.1", 6379, RUN_ID, true, 4)};

    cr_expect_eq(tag_of(7, "10.0.0.1", 6379, RUN_ID, true, 3), tag);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_expect_neq(others[i], tag, "%zu", i);
    }
    cr_expect_eq(tag_of(7, "10.0.0.1", 6379, RUN_ID, false, 3),
                 tag_of(7, "10.0.0.1", 6379, RUN_ID, false, 4), "a replica has no generation");
}

/* Of 2^20 tags 4,000 random servers share about eight. */
Test(redis_cursor, tags_are_spread)
{
    enum { SERVERS = 4000 };
    unsigned char *seen = calloc(1u << CURSOR_TAG_BITS, 1);
    size_t same = 0;

    for (unsigned i = 0; i < SERVERS; i++) {
        uint32_t tag =
            tag_of(i / 100, "10.0.0.1", (uint16_t)(6379 + i % 100), RUN_ID, i % 2 == 0, i % 3);

        cr_assert(tag > CURSOR_TAG_NONE && tag < 1u << CURSOR_TAG_BITS);
        same += seen[tag];
        seen[tag] = 1;
    }
    cr_expect_lt(same, 40, "%zu", same);
    free(seen);
    cr_expect_neq(cursor_tag_of(0), CURSOR_TAG_NONE);
    cr_expect_neq(cursor_tag_of(UINT64_MAX), CURSOR_TAG_NONE);
}

Test(redis_cursor, what_is_handed_out_comes_back)
{
    const uint64_t cursors[] = {1, 2, 9, 4095, 65536, 1u << 20, UINT32_MAX, LARGEST};
    const uint32_t tags[] = {1, 2, 0x80000, (1u << CURSOR_TAG_BITS) - 1};

    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        for (size_t k = 0; k < sizeof(tags) / sizeof(tags[0]); k++) {
            char theirs[CURSOR_TEXT_SIZE], ours[CURSOR_TEXT_SIZE];
            uint64_t back = 0;
            uint32_t tag = 0;
            size_t size;

            snprintf(theirs, sizeof(theirs), "%" PRIu64, cursors[i]);
            size = cursor_write(tags[k], theirs, strlen(theirs), ours);
            cr_assert_eq(size, strlen(ours));
            cr_expect_leq(strtoull(ours, NULL, 10), UINT64_C(9007199254740991), "%s", ours);
            cr_expect_geq(size, strlen(theirs), "the server's has room in its place");
            cr_assert_eq(cursor_read(ours, size, &tag, &back), CURSOR_TAGGED, "%s", ours);
            cr_expect_eq(back, cursors[i]);
            cr_expect_eq(tag, tags[k]);
        }
    }
}

Test(redis_cursor, zero_begins_and_ends)
{
    char ours[CURSOR_TEXT_SIZE];
    uint64_t theirs;
    uint32_t tag;

    cr_expect_eq(cursor_write(77, "0", 1, ours), 1);
    cr_expect_str_eq(ours, "0");
    cr_expect_eq(cursor_read("0", 1, &tag, &theirs), CURSOR_BEGINNING);
    cr_expect_eq(cursor_read("000", 3, &tag, &theirs), CURSOR_BEGINNING);
}

Test(redis_cursor, one_without_room_for_a_tag_does_not_go_on)
{
    static const char *const large[] = {"8589934592",
                                        "9007199254740992",
                                        "18446744073709551615",
                                        "99999999999999999999999999",
                                        "",
                                        "-1",
                                        "12x",
                                        "abc"};

    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        char ours[CURSOR_TEXT_SIZE];
        uint64_t theirs;
        uint32_t tag;
        size_t size = cursor_write(5, large[i], strlen(large[i]), ours);

        cr_expect_eq(cursor_read(ours, size, &tag, &theirs), CURSOR_LARGE, "%s: %s", large[i],
                     ours);
    }
}

Test(redis_cursor, what_no_server_would_take_is_invalid)
{
    static const char *const invalid[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1.0", "1e3", "one"};
    uint64_t theirs;
    uint32_t tag;

    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        cr_expect_eq(cursor_read(invalid[i], strlen(invalid[i]), &tag, &theirs), CURSOR_INVALID,
                     "%s", invalid[i]);
    }
    cr_expect_eq(cursor_read("1\0002", 3, &tag, &theirs), CURSOR_INVALID);
}

/*
 * A server's own cursor, one that was rounded, one beyond 2^53: none of them has a tag by chance
 * only.
 */
Test(redis_cursor, what_was_never_handed_out_is_no_servers)
{
    static const char *const strange[] = {"1",
                                          "17",
                                          "1048575",
                                          "2097152",
                                          "3145728",
                                          "9007199254740992",
                                          /* 2^53 + 1, and all ones */ "9007199254740993",
                                          "18446744073709551615",
                                          "36893488147419103232"};

    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        uint64_t theirs;
        uint32_t tag = 1;

        cr_expect_eq(cursor_read(strange[i], strlen(strange[i]), &tag, &theirs), CURSOR_TAGGED);
        cr_expect_eq(tag, CURSOR_TAG_NONE, "%s", strange[i]);
    }
}
