/* The text format, against literal text. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/metrics/exposition.h"

TestSuite(metrics_exposition);

static void expect_text(struct exposition *out, const char *expected)
{
    size_t size;
    char *text = exposition_finish(out, &size);

    cr_assert_str_eq(text, expected);
    cr_assert_eq(size, strlen(expected));
    free(text);
}

Test(metrics_exposition, samples_of_a_family_follow_its_help_and_type)
{
    struct exposition out = {0};

    exposition_family(&out, METRIC_MASTER_UP);
    exposition_integer(&out, 1, LABELS("mymaster"));
    exposition_integer(&out, 0, LABELS("sessions"));
    exposition_family(&out, METRIC_STREAMS_CUT);
    exposition_integer(&out, 7, NULL);
    expect_text(
        &out, "# HELP bellwether_master_up What /masters/{name} would answer: 1 is 200, 0 is 503.\n"
              "# TYPE bellwether_master_up gauge\n"
              "bellwether_master_up{master=\"mymaster\"} 1\n"
              "bellwether_master_up{master=\"sessions\"} 0\n"
              "# HELP bellwether_streams_cut_total Event streams that were cut off because their "
              "reader was too slow.\n"
              "# TYPE bellwether_streams_cut_total counter\n"
              "bellwether_streams_cut_total 7\n");
}

Test(metrics_exposition, a_family_without_samples_is_left_out)
{
    struct exposition out = {0};

    exposition_family(&out, METRIC_MASTER_UP);
    exposition_family(&out, METRIC_REPLICAS);
    expect_text(&out, "");
}

/* What one sample of master_up looks like after its HELP and TYPE. */
static void expect_label(const char *name, const char *expected)
{
    struct exposition out = {0};
    char line[256];
    size_t size;
    char *text;

    snprintf(line, sizeof(line), "\nbellwether_master_up{master=\"%s\"} 1\n", expected);
    exposition_family(&out, METRIC_MASTER_UP);
    exposition_integer(&out, 1, LABELS(name));
    text = exposition_finish(&out, &size);
    cr_assert_not_null(strstr(text, line), "%s\nhas not: %s", text, line);
    free(text);
}

Test(metrics_exposition, labels_are_escaped)
{
    expect_label("plain", "plain");
    expect_label("a\"b", "a\\\"b");
    expect_label("a\\b", "a\\\\b");
    expect_label("a\nb", "a\\nb");
    expect_label("\\n", "\\\\n");
    expect_label("", "");
    expect_label("a{b},c=d e", "a{b},c=d e");
}

Test(metrics_exposition, labels_are_utf8)
{
    expect_label("schlüssel-主", "schlüssel-主");
    expect_label("\xf0\x9f\x90\x91", "\xf0\x9f\x90\x91");
    expect_label("a\xff"
                 "b",
                 "a\xef\xbf\xbd"
                 "b");
    expect_label("\xc3", "\xef\xbf\xbd");                                 /* cut short */
    expect_label("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");                 /* too long a form */
    expect_label("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
    /* the quotation mark survives */
    expect_label("\xe2\x82\"", "\xef\xbf\xbd\xef\xbf\xbd\\\"");
}

static void expect_number(int64_t value, unsigned decimals, const char *expected)
{
    struct exposition out = {0};
    size_t size;
    char *text, *number;

    exposition_family(&out, METRIC_RELOAD_TIMESTAMP);
    exposition_decimal(&out, value, decimals, NULL);
    text = exposition_finish(&out, &size);
    number = strrchr(text, ' ') + 1;
    number[strcspn(number, "\n")] = '\0';
    cr_assert_str_eq(number, expected);
    free(text);
}

Test(metrics_exposition, numbers)
{
    expect_number(0, 0, "0");
    expect_number(0, 3, "0");
    expect_number(1795348800123, 3, "1795348800.123");
    expect_number(1500, 3, "1.5");
    expect_number(2000, 3, "2");
    expect_number(7, 6, "0.000007");
    expect_number(100, 6, "0.0001");
    expect_number(-1, 0, "-1");
    expect_number(-1500, 3, "-1.5");
    expect_number(INT64_MAX, 0, "9223372036854775807");
    expect_number(INT64_MIN, 0, "-9223372036854775808");
}

Test(metrics_exposition, a_histogram_is_cumulative)
{
    struct exposition out = {0};
    struct metric_histogram histogram = {0};
    struct metric_totals totals = {0};

    metric_observe(&histogram, METRIC_VERIFY_DURATION, 250); /* on the bound: in the bucket */
    metric_observe(&histogram, METRIC_VERIFY_DURATION, 251); /* in the next */
    metric_observe(&histogram, METRIC_VERIFY_DURATION, 30000);
    metric_observe(&histogram, METRIC_VERIFY_DURATION, 2000000); /* above all */
    metric_observe(&histogram, METRIC_VERIFY_DURATION, -5);      /* a clock that went back: 0 */
    metric_sum(&totals, &histogram);
    exposition_family(&out, METRIC_VERIFY_DURATION);
    exposition_histogram(&out, &totals, LABELS("m\"1"));
    expect_text(&out,
                "# HELP bellwether_verify_duration_seconds How long nodes took to say their role, "
                "connecting included, where they said one.\n"
                "# TYPE bellwether_verify_duration_seconds histogram\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.00025\"} 2\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.0005\"} 3\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.001\"} 3\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.0025\"} 3\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.005\"} 3\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.01\"} 3\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.025\"} 3\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.05\"} 4\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.1\"} 4\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.25\"} 4\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"0.5\"} 4\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"1\"} 4\n"
                "bellwether_verify_duration_seconds_bucket{master=\"m\\\"1\",le=\"+Inf\"} 5\n"
                "bellwether_verify_duration_seconds_sum{master=\"m\\\"1\"} 2.030501\n"
                "bellwether_verify_duration_seconds_count{master=\"m\\\"1\"} 5\n");
}
