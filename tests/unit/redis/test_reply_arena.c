/*
 * Replies in an arena are what hiredis itself would make, whatever their type, size and nesting,
 * and in how many pieces they come.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/memory.h"
#include "redis/reply_arena.h"

static void expect_same(const redisReply *a, const redisReply *b)
{
    cr_assert_eq(a->type, b->type);
    cr_assert_eq(a->integer, b->integer);
    cr_assert_eq(a->len, b->len);
    cr_assert_eq(a->elements, b->elements);
    cr_assert_eq(!a->str, !b->str);
    if (a->str) {
        cr_assert_arr_eq(a->str, b->str, a->len + 1);
    }
    if (a->type == REDIS_REPLY_DOUBLE) {
        cr_assert(a->dval == b->dval);
    }
    if (a->type == REDIS_REPLY_VERB) {
        cr_assert_str_eq(a->vtype, b->vtype);
    }
    for (size_t i = 0; i < a->elements; i++) {
        expect_same(a->element[i], b->element[i]);
    }
}

/*
 * @return the reply that `reader` makes of the bytes, fed in pieces of that size; NULL: none of
 * them, or an error.
 */
static redisReply *read_in_pieces(redisReader *reader, const char *bytes, size_t size, size_t piece)
{
    void *reply = NULL;

    for (size_t at = 0; at < size && !reply; at += piece) {
        cr_assert_eq(redisReaderFeed(reader, bytes + at, size - at < piece ? size - at : piece),
                     REDIS_OK);
        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            return NULL;
        }
    }
    return reply;
}

static void check(const char *bytes)
{
    static const size_t pieces[] = {1, 7, 1000, 1 << 20};
    size_t size = strlen(bytes);

    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        struct conn_arena arena = {0};
        redisReader *plain = redisReaderCreate(), *reader = redisReaderCreate();

        conn_arena_serve(&arena, reader);
        redisReply *expected = read_in_pieces(plain, bytes, size, pieces[i]);
        redisReply *reply = read_in_pieces(reader, bytes, size, pieces[i]);

        cr_assert_eq(!expected, !reply, "%s", bytes);
        if (reply) {
            expect_same(expected, reply);
        }
        freeReplyObject(expected);
        redisReaderFree(plain);
        /* before what it made, as when a connection ends inside a callback */
        redisReaderFree(reader);
        conn_arena_release(&arena);
        cr_assert_null(arena.last);
    }
}

Test(redis_arena, every_type)
{
    static const char *const all[] = {
        "+OK\r\n",
        "-ERR no\r\n",
        ":-42\r\n",
        "$5\r\nhello\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "_\r\n",
        "#t\r\n",
        "#f\r\n",
        ",3.25\r\n",
        ",inf\r\n",
        "(12345678901234567890\r\n",
        "=15\r\ntxt:Some string\r\n",
        "*0\r\n",
        "*2\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n",
        "~2\r\n:1\r\n:2\r\n",
        ">2\r\n$1\r\na\r\n$1\r\nb\r\n",
        "|1\r\n+ttl\r\n:3\r\n",
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        check(all[i]);
    }
}

Test(redis_arena, what_is_broken_leaves_nothing)
{
    check("*3\r\n:1\r\n$3\r\nabcX");
    check("%1\r\n+a\r\n?\r\n");
    check("=3\r\ntxt\r\n");
    check("*2\r\n$5\r\nhello\r\n"); /* not whole */
}

/*
 * A row of many fields, rows of many masters, and one long string: beyond small blocks, beyond
 * large ones.
 */
Test(redis_arena, long_ones)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);

    cr_assert_not_null(out);
    (void)fprintf(out, "*301\r\n");
    for (int i = 0; i < 300; i++) {
        (void)fprintf(out, "%%40\r\n");
        for (int j = 0; j < 80; j++) {
            (void)fprintf(out, "$9\r\nword-%04d\r\n", j);
        }
    }
    (void)fprintf(out, "$200000\r\n");
    for (int i = 0; i < 200000; i++) {
        (void)fputc('a' + i % 26, out);
    }
    (void)fprintf(out, "\r\n");
    (void)fclose(out);
    check(bytes);
    free(bytes);
}

/* @return whether a reply that begins so is refused before its elements came, and what it cost. */
static bool is_refused(const char *head, size_t times, size_t *bytes)
{
    struct conn_arena arena = {0};
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    bool refused = false;

    conn_arena_serve(&arena, reader);
    reader->maxelements = TREE_ELEMENTS_MAX;
    for (size_t i = 0; i < times && !refused; i++) {
        cr_assert_eq(redisReaderFeed(reader, head, strlen(head)), REDIS_OK);
        refused = redisReaderGetReply(reader, &reply) != REDIS_OK;
        cr_expect_null(reply);
    }
    *bytes = budget_used();
    redisReaderFree(reader);
    conn_arena_release(&arena);
    cr_expect_eq(budget_used(), 0);
    return refused;
}

Test(redis_arena, announced_elements_count_over_all_levels)
{
    static const char *const heads[] = {"*1048576\r\n", "*524289\r\n", "*300000\r\n",
                                        "%200000\r\n",  "~100000\r\n", "*2000\r\n"};
    size_t bytes;

    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        cr_expect(is_refused(heads[i], 1000, &bytes), "%s", heads[i]);
        cr_expect_leq(bytes, TREE_ELEMENTS_MAX * sizeof(void *) + (1 << 20), "%s: %zu", heads[i],
                      bytes);
    }
    cr_expect(is_refused("*2\r\n+a\r\n", 100, &bytes), "too deep");
    cr_expect_not(is_refused("*2\r\n+a\r\n", 30, &bytes));
    cr_expect_not(is_refused("*524288\r\n", 1, &bytes));
}

/* Each reply has its own count. */
Test(redis_arena, elements_of_one_reply_after_the_other)
{
    struct conn_arena arena = {0};
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    conn_arena_serve(&arena, reader);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(redisReaderFeed(reader, "*200000\r\n", 9), REDIS_OK);
        for (size_t k = 0; k < 200000; k++) {
            cr_assert_eq(redisReaderFeed(reader, ":1\r\n", 4), REDIS_OK);
        }
        cr_assert_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
        cr_assert_not_null(reply);
        conn_arena_release(&arena);
    }
    redisReaderFree(reader);
}
