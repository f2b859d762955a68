/*
 * UTF-8: what is a character, how long an ill-formed part is, and copies that are fit to be shown.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/base/utf8.h"

Test(base_utf8, characters_and_what_is_none)
{
    static const struct {
        const char *bytes;
        size_t length, ill_formed; /* the latter where the former is 0 */
    } rows[] = {
        {"a", 1, 0},
        {"\x7f", 1, 0},
        {"\xc2\x80", 2, 0},
        {"\xdf\xbf", 2, 0},
        {"\xe0\xa0\x80", 3, 0},
        {"\xed\x9f\xbf", 3, 0},
        {"\xee\x80\x80", 3, 0},
        {"\xef\xbf\xbf", 3, 0},
        {"\xf0\x90\x80\x80", 4, 0},
        {"\xf4\x8f\xbf\xbf", 4, 0},
        {"\x80", 0, 1},             /* a continuation by itself */
        {"\xc0\xaf", 0, 1},         /* overlong */
        {"\xc1\xbf", 0, 1},         /* overlong */
        {"\xe0\x9f\xbf", 0, 1},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0, 1}, /* overlong */
        {"\xed\xa0\x80", 0, 1},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0, 1}, /* beyond Unicode */
        {"\xf5\x80\x80\x80", 0, 1},
        {"\xff", 0, 1},
        {"\xc3", 0, 1}, /* cut short */
        {"\xe2\x82", 0, 2},
        {"\xe2\x82z", 0, 2},
        {"\xf0\x9f\x90", 0, 3},
        {"\xf0\x9f\x90z", 0, 3},
        {"\xf0\x9f\xc3\xa4", 0, 2},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t size = strlen(rows[i].bytes);

        cr_expect_eq(utf8_length(rows[i].bytes, size), rows[i].length, "row %zu", i);
        cr_expect_eq(utf8_length(rows[i].bytes, UTF8_MAX), rows[i].length, "row %zu, terminated",
                     i);
        if (rows[i].length == 0) {
            cr_expect_eq(utf8_ill_formed(rows[i].bytes, size), rows[i].ill_formed, "row %zu", i);
        }
    }
}

Test(base_utf8, copies_are_cut_at_characters)
{
    char out[6];

    utf8_copy("abcdefgh", 8, out, sizeof(out));
    cr_expect_str_eq(out, "abcde");
    utf8_copy("abc\xe2\x82\xac", 6, out, sizeof(out));
    cr_expect_str_eq(out, "abc");
    utf8_copy("ab\xe2\x82\xac", 5, out, sizeof(out));
    cr_expect_str_eq(out, "ab\xe2\x82\xac");
    utf8_copy("a\n\xff\x00z", 5, out, sizeof(out));
    cr_expect_str_eq(out, "a???z");
    utf8_copy("a\xc2\x85z\x7f", 5, out, sizeof(out));
    cr_expect_str_eq(out, "a?z?");
    utf8_copy("abc", 3, out, 1);
    cr_expect_str_eq(out, "");
}
