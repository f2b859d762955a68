/*
 * The search among sorted names: what is there, where what is not would have to be put, and names
 * that are there twice.
 */
#include <criterion/criterion.h>

#include "bellwether/base/names.h"

struct row {
    const char *name;
};

static const char *row_name(const void *rows, size_t i)
{
    return ((const struct row *)rows)[i].name;
}

Test(base_names, each_is_found_where_it_stands)
{
    static const struct row rows[] = {{"a"}, {"b"}, {"ba"}, {"c"}, {"zz"}};

    for (size_t n = 0; n <= 5; n++) {
        for (size_t i = 0; i < 5; i++) {
            bool found = i >= n;

            cr_expect_eq(names_place(rows, n, row_name, rows[i].name, &found), i < n ? i : n);
            cr_expect_eq(found, i < n);
        }
    }
}

Test(base_names, one_that_is_missing_has_its_place)
{
    static const struct row rows[] = {{"b"}, {"d"}, {"d"}, {"f"}};
    static const struct {
        const char *name;
        size_t at;
        bool found;
    } cases[] = {{"", 0, false}, {"a", 0, false}, {"b", 0, true}, {"c", 1, false},
                 {"d", 1, true}, {"e", 3, false}, {"f", 3, true}, {"g", 4, false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool found;

        cr_expect_eq(names_place(rows, 4, row_name, cases[i].name, &found), cases[i].at);
        cr_expect_eq(found, cases[i].found);
    }
}

Test(base_names, an_array_of_names_says_whether_it_has_one)
{
    static const char *const names[] = {"one", "three", "two"};

    cr_expect(names_have(names, 3, "three"));
    cr_expect_not(names_have(names, 3, "four"));
    cr_expect_not(names_have(names, 0, "one"));
}

Test(base_names, sorted_names_are_found)
{
    char c[] = "c", a[] = "a", ab[] = "ab";
    char *names[] = {c, a, ab};

    names_sort(names, 3);
    cr_expect_str_eq(names[0], "a");
    cr_expect_str_eq(names[1], "ab");
    cr_expect_str_eq(names[2], "c");
    for (size_t i = 0; i < 3; i++) {
        cr_expect(names_have((const char *const *)names, 3, names[i]));
    }
}
