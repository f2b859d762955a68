/*
 * The intrusive list: order, leaving from anywhere, and that a link can be told to be in it.
 */
#include <criterion/criterion.h>

#include "bellwether/base/list.h"

struct item {
    int number;
    struct list_link link;
};

static void expect(const struct list *list, const int *numbers, size_t n)
{
    size_t i = 0;
    const struct list_link *before = NULL;

    LIST_EACH(const struct item, item, list, link) {
        cr_assert_lt(i, n);
        cr_expect_eq(item->number, numbers[i]);
        cr_expect_eq(item->link.previous, before);
        before = &item->link;
        i++;
    }
    cr_expect_eq(i, n);
    cr_expect_eq(list->last, before);
}

#define EXPECT(list, ...) \
    expect((list), (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

Test(base_list, members_stand_where_they_were_put)
{
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    struct list list = {0};

    expect(&list, NULL, 0);
    list_append(&list, &items[1].link);
    list_append(&list, &items[3].link);
    list_insert_after(&list, NULL, &items[0].link);
    list_insert_after(&list, &items[1].link, &items[2].link);
    EXPECT(&list, 0, 1, 2, 3);
}

Test(base_list, each_may_leave)
{
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    struct list list = {0};

    for (int i = 0; i < 4; i++) {
        list_append(&list, &items[i].link);
    }
    list_remove(&list, &items[2].link);
    EXPECT(&list, 0, 1, 3);
    list_remove(&list, &items[3].link);
    EXPECT(&list, 0, 1);
    list_remove(&list, &items[0].link);
    EXPECT(&list, 1);
    list_append(&list, &items[3].link);
    EXPECT(&list, 1, 3);
    cr_expect_eq(list_take_first(&list), &items[1].link);
    cr_expect_eq(list_take_first(&list), &items[3].link);
    cr_expect_null(list_take_first(&list));
    expect(&list, NULL, 0);
}

Test(base_list, a_list_knows_who_is_in_it)
{
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct list list = {0};

    cr_expect_not(list_holds(&list, &items[0].link));
    for (int i = 0; i < 3; i++) {
        list_append(&list, &items[i].link);
    }
    for (int i = 0; i < 3; i++) {
        cr_expect(list_holds(&list, &items[i].link));
        list_remove(&list, &items[i].link);
        cr_expect_not(list_holds(&list, &items[i].link));
    }
}

Test(base_list, the_owner_of_no_link_is_none)
{
    struct item item = {.number = 7};

    cr_expect_null(LIST_OWNER(NULL, struct item, link));
    cr_expect_eq(LIST_OWNER(&item.link, struct item, link), &item);
}
