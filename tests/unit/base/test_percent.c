/* Percent-decoding: to bytes, NUL and all, and to text, which has none. */
#include <criterion/criterion.h>
#include <string.h>

#include "bellwether/base/error.h"
#include "bellwether/base/percent.h"

Test(base_percent, bytes)
{
    static const struct {
        const char *in, *out;
        size_t out_len;
    } rows[] = {
        {"", "", 0},           {"abc", "abc", 3},
        {"a%41%7a", "aAz", 3}, {"%00", "\0", 1},
        {"a%00b", "a\0b", 3},  {"%2F%2f%25", "//%", 3},
        {"+", "+", 1},         {"%ff%FF", "\xff\xff", 2},
        {"%2541", "%41", 3},   {"\xc3\xa4", "\xc3\xa4", 2},
    };
    char out[16];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = 77;

        cr_assert_eq(percent_decode_bytes(rows[i].in, strlen(rows[i].in), out, sizeof(out), &len),
                     0, "%s", rows[i].in);
        cr_expect_eq(len, rows[i].out_len, "%s", rows[i].in);
        cr_expect_eq(memcmp(out, rows[i].out, len), 0, "%s", rows[i].in);
    }
}

Test(base_percent, what_is_no_escape)
{
    static const char *const rows[] = {"%",   "%4",  "a%",   "a%4", "%zz", "%4z",
                                       "%z4", "%-1", "%%41", "% 1", "%0x"};
    char out[16];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = 77;

        cr_expect_eq(percent_decode_bytes(rows[i], strlen(rows[i]), out, sizeof(out), &len),
                     -BW_EINVAL, "%s", rows[i]);
        cr_expect_eq(len, 77);
        cr_expect_eq(percent_decode(rows[i], strlen(rows[i]), out, sizeof(out)), -BW_EINVAL, "%s",
                     rows[i]);
    }
}

Test(base_percent, the_room_is_kept)
{
    char out[4] = "....";
    size_t len;

    cr_expect_eq(percent_decode_bytes("%41%42%43%44", 12, out, 4, &len), 0);
    cr_expect_eq(percent_decode_bytes("%41%42%43%44", 12, out, 3, &len), -BW_ERANGE);
    cr_expect_eq(percent_decode_bytes("", 0, out, 0, &len), 0);
    cr_expect_eq(percent_decode("abc", 3, out, 4), 0);
    cr_expect_str_eq(out, "abc");
    cr_expect_eq(percent_decode("abcd", 4, out, 4), -BW_ERANGE);
    cr_expect_eq(percent_decode("", 0, out, 0), -BW_ERANGE);
}

Test(base_percent, in_place)
{
    char text[] = "a%2Fb%2Fc";
    size_t len;

    cr_expect_eq(percent_decode_bytes(text, strlen(text), text, strlen(text), &len), 0);
    cr_expect_eq(len, 5);
    cr_expect_eq(memcmp(text, "a/b/c", 5), 0);
}

Test(base_percent, text_has_no_nul)
{
    char out[8];

    cr_expect_eq(percent_decode("a%00b", 5, out, sizeof(out)), -BW_EINVAL);
    cr_expect_eq(percent_decode("a\0b", 3, out, sizeof(out)), -BW_EINVAL);
}
