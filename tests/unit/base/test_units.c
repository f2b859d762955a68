/*
 * Durations, sizes and whole numbers: what is taken, what is refused, and that formatting comes
 * back the same.
 */
#include <criterion/criterion.h>

#include "bellwether/base/error.h"
#include "bellwether/base/units.h"

Test(base_units, durations_that_are_taken)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {{"0", 0},        {"0s", 0},        {"500ms", 500},
                {"1s", 1000},    {"1500ms", 1500}, {"5m", 300000},
                {"1h", 3600000}, {"007s", 7000},   {"9007199254740992ms", INT64_C(1) << 53}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = -1;

        cr_expect_eq(duration_parse(rows[i].text, &ms), 0, "%s", rows[i].text);
        cr_expect_eq(ms, rows[i].ms, "%s", rows[i].text);
    }
}

Test(base_units, durations_that_are_refused)
{
    static const struct {
        const char *text;
        int error;
    } rows[] = {{"", -BW_EINVAL},
                {"5", -BW_EINVAL},
                {"s", -BW_EINVAL},
                {"-1s", -BW_EINVAL},
                {"+1s", -BW_EINVAL},
                {" 1s", -BW_EINVAL},
                {"1s ", -BW_EINVAL},
                {"1 s", -BW_EINVAL},
                {"1.5s", -BW_EINVAL},
                {"1S", -BW_EINVAL},
                {"1d", -BW_EINVAL},
                {"1sm", -BW_EINVAL},
                {"00x", -BW_EINVAL},
                {"9007199254740993ms", -BW_ERANGE},
                {"99999999999999999999s", -BW_ERANGE},
                {"9223372036854775807h", -BW_ERANGE}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = -7;

        cr_expect_eq(duration_parse(rows[i].text, &ms), rows[i].error, "%s", rows[i].text);
        cr_expect_eq(ms, -7, "%s: the output was touched", rows[i].text);
    }
}

Test(base_units, durations_come_back_the_same)
{
    static const char *const texts[] = {"0s",  "1ms", "999ms", "1s", "1500ms",
                                        "59s", "1m",  "90s",   "1h", "25h"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t ms;
        char out[UNITS_TEXT_SIZE];

        cr_assert_eq(duration_parse(texts[i], &ms), 0);
        duration_format(ms, out);
        cr_expect_str_eq(out, texts[i]);
    }
}

Test(base_units, sizes_that_are_taken)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } rows[] = {{"0", 0},
                {"512", 512},
                {"512b", 512},
                {"10kb", 10240},
                {"10k", 10240},
                {"10KiB", 10240},
                {"1MiB", 1048576},
                {"64mb", 64 * 1048576},
                {"1M", 1048576},
                {"2g", INT64_C(2) << 30},
                {"2GB", INT64_C(2) << 30},
                {"9223372036854775807", INT64_MAX}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t bytes = -1;

        cr_expect_eq(bytes_parse(rows[i].text, &bytes), 0, "%s", rows[i].text);
        cr_expect_eq(bytes, rows[i].bytes, "%s", rows[i].text);
    }
}

Test(base_units, sizes_that_are_refused)
{
    static const struct {
        const char *text;
        int error;
    } rows[] = {{"", -BW_EINVAL},
                {"k", -BW_EINVAL},
                {"-1", -BW_EINVAL},
                {"1 kb", -BW_EINVAL},
                {"1tb", -BW_EINVAL},
                {"1.5m", -BW_EINVAL},
                {"9223372036854775808", -BW_ERANGE},
                {"9007199254740992g", -BW_ERANGE}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t bytes = -7;

        cr_expect_eq(bytes_parse(rows[i].text, &bytes), rows[i].error, "%s", rows[i].text);
        cr_expect_eq(bytes, -7, "%s: the output was touched", rows[i].text);
    }
}

Test(base_units, sizes_come_back_the_same)
{
    static const char *const texts[] = {"0", "1", "1023", "1KiB", "1MiB", "1536KiB", "3GiB"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t bytes;
        char out[UNITS_TEXT_SIZE];

        cr_assert_eq(bytes_parse(texts[i], &bytes), 0);
        bytes_format(bytes, out);
        cr_expect_str_eq(out, texts[i]);
    }
}

Test(base_units, integers)
{
    int64_t value = 0;

    cr_expect_eq(integer_parse("1", 1, 64, &value), 0);
    cr_expect_eq(value, 1);
    cr_expect_eq(integer_parse("64", 1, 64, &value), 0);
    cr_expect_eq(value, 64);
    cr_expect_eq(integer_parse("-5", -10, 10, &value), 0);
    cr_expect_eq(value, -5);
    cr_expect_eq(integer_parse("65", 1, 64, &value), -BW_ERANGE);
    cr_expect_eq(integer_parse("0", 1, 64, &value), -BW_ERANGE);
    cr_expect_eq(integer_parse("70000", 1, 65535, &value), -BW_ERANGE);
    cr_expect_eq(integer_parse("99999999999999999999", 1, INT64_MAX, &value), -BW_ERANGE);
    cr_expect_eq(integer_parse("", 1, 64, &value), -BW_EINVAL);
    cr_expect_eq(integer_parse("-", 1, 64, &value), -BW_EINVAL);
    cr_expect_eq(integer_parse("+1", 1, 64, &value), -BW_EINVAL);
    cr_expect_eq(integer_parse("1x", 1, 64, &value), -BW_EINVAL);
    cr_expect_eq(integer_parse("0x10", 0, 64, &value), -BW_EINVAL);
    cr_expect_eq(value, -5, "a failure touched the output");
}
