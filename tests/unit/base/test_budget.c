/*
 * The count of memory: what is taken is in it, what is given back is not, whichever thread does it;
 * and who is refused.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/buffer.h"
#include "bellwether/base/memory.h"

#define MIB ((size_t)1024 * 1024)
#define LUMP 4096 /* what a thread may keep to itself */

static void expect_used(size_t least, size_t most)
{
    cr_expect(budget_used() >= least && budget_used() <= most, "%zu, not %zu to %zu", budget_used(),
              least, most);
}

Test(base_budget, what_is_allocated_counts_until_it_is_freed)
{
    char *piece = budget_new(MIB, 1);

    cr_expect_eq(piece[0] + piece[MIB - 1], 0);
    expect_used(MIB, MIB + LUMP);
    piece = budget_resize(piece, 3, MIB);
    expect_used(3 * MIB, 3 * MIB + LUMP);
    piece = budget_resize(piece, 1, 10);
    expect_used(10, LUMP);
    budget_free(piece);
    budget_free(NULL);
    cr_expect_eq(budget_used(), 0);
    piece = mem_new(MIB, 1);
    budget_adopt(piece);
    expect_used(MIB, MIB + LUMP);
    budget_release(piece);
    free(piece);
    cr_expect_eq(budget_used(), 0);
}

Test(base_budget, without_a_limit_there_is_room)
{
    budget_count((int64_t)1 << 40);
    cr_expect(budget_has(SIZE_MAX / 4));
    cr_expect(budget_has_for_now(SIZE_MAX / 4));
}

Test(base_budget, the_last_eighth_is_for_small_pieces_and_what_does_not_stay)
{
    budget_limit(8 * MIB);
    cr_expect(budget_has(7 * MIB));
    cr_expect_not(budget_has(7 * MIB + 1));
    cr_expect(budget_has_for_now(8 * MIB));
    cr_expect_not(budget_has_for_now(8 * MIB + 1));
    budget_count(7 * (int64_t)MIB);
    cr_expect_not(budget_has(BUDGET_SMALL + 1));
    cr_expect(budget_has(BUDGET_SMALL));
    cr_expect(budget_has(0));
    cr_expect(budget_has_for_now(MIB));
    budget_count((int64_t)(MIB - BUDGET_SMALL / 2));
    cr_expect_not(budget_has(BUDGET_SMALL));
    cr_expect(budget_has(0));
    budget_count((int64_t)MIB);
    cr_expect_not(budget_has(0));
    cr_expect_not(budget_has_for_now(0));
    budget_count(-9 * (int64_t)MIB);
    cr_expect(budget_has(7 * MIB - BUDGET_SMALL));
}

static void *take(void *data)
{
    void **pieces = data;

    for (size_t i = 0; i < 1000; i++) {
        pieces[i] = budget_new(1, 2000);
    }
    return NULL;
}

/* What one thread took another may give back. */
Test(base_budget, threads_count_together)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    static void *pieces[THREADS][1000];

    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, take, pieces[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    expect_used(THREADS * (1000 * 2000 - LUMP), THREADS * 1000 * 2100);
    for (size_t i = 0; i < THREADS; i++) {
        for (size_t j = 0; j < 1000; j++) {
            budget_free(pieces[i][j]);
        }
    }
    cr_expect_leq(budget_used(), THREADS * LUMP);
}

Test(base_budget, buffers_count_as_allocated)
{
    struct buffer buffer = {0};
    size_t size;
    char *bytes;

    (void)buffer_reserve(&buffer, MIB);
    buffer_add_text(&buffer, "few");
    expect_used(MIB, MIB + LUMP);
    bytes = buffer_take(&buffer, &size);
    cr_expect_eq(size, 3);
    cr_expect_eq(strncmp(bytes, "few", 3), 0);
    cr_expect_eq(budget_used(), 0, "the taker's");
    budget_adopt(bytes);
    cr_expect_leq(budget_used(), LUMP, "what was reserved and not used is given back: %zu",
                  budget_used());
    budget_free(bytes);
    (void)buffer_reserve(&buffer, MIB);
    buffer_release(&buffer);
    cr_expect_eq(budget_used(), 0);
}

Test(base_budget, buffers_grow_within_it)
{
    struct buffer buffer = {0};

    budget_limit(MIB);
    budget_count((int64_t)MIB);
    cr_expect(buffer_may_add(&buffer, 1000), "too little to matter");
    cr_expect_not(buffer_may_add(&buffer, 2000));
    cr_expect_not(buffer_may_add(&buffer, SIZE_MAX));
    budget_count(-(int64_t)MIB);
    cr_expect(buffer_may_add(&buffer, MIB / 2));
    (void)buffer_reserve(&buffer, MIB / 2);
    cr_expect(buffer_may_add(&buffer, MIB / 2), "there is room already");
    cr_expect_not(buffer_may_add(&buffer, MIB / 2 + 1), "it would double");
    buffer_release(&buffer);
}
