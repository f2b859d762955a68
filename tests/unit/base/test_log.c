/* Log lines: both formats, escapes, cutting, levels. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/log.h"
#include "bellwether/base/memory.h"

#define AT INT64_C(1795348800123) /* 2026-11-22T12:00:00.123Z */

static const char *render(enum log_format format, const char *message,
                          const struct log_field *fields, size_t n)
{
    static char out[4096];

    size_t length = log_render(LOG_LEVEL_INFO, format, AT, message, fields, n, out, sizeof(out));
    cr_assert_eq(length, strlen(out));
    return out;
}

Test(base_log, logfmt)
{
    cr_expect_str_eq(
        render(LOG_FORMAT_LOGFMT, "master changed",
               LOG_FIELDS(LOG_STR("master", "mymaster"), LOG_INT("epoch", -4))),
        "level=info ts=2026-11-22T12:00:00.123Z msg=\"master changed\" master=mymaster epoch=-4\n");
    cr_expect_str_eq(render(LOG_FORMAT_LOGFMT, "x",
                            LOG_FIELDS(LOG_STR("k", ""), LOG_STR("n", NULL), LOG_STR("e", "a=b"))),
                     "level=info ts=2026-11-22T12:00:00.123Z msg=x k=\"\" n=\"\" e=\"a=b\"\n");
    cr_expect_str_eq(render(LOG_FORMAT_LOGFMT, "plain", NULL, 0),
                     "level=info ts=2026-11-22T12:00:00.123Z msg=plain\n");
}

Test(base_log, one_line_whatever_the_value)
{
    cr_expect_str_eq(render(LOG_FORMAT_LOGFMT, "x",
                            LOG_FIELDS(LOG_STR("k", "a\nlevel=error \"q\" \\ \t\x01\x7f"))),
                     "level=info ts=2026-11-22T12:00:00.123Z msg=x "
                     "k=\"a\\nlevel=error \\\"q\\\" \\\\ \\t\\u0001\\u007f\"\n");
}

Test(base_log, json)
{
    cr_expect_str_eq(
        render(LOG_FORMAT_JSON, "a \"b\"", LOG_FIELDS(LOG_STR("k", "v\n"), LOG_INT("n", 7))),
        "{\"level\":\"info\",\"ts\":\"2026-11-22T12:00:00.123Z\",\"msg\":\"a \\\"b\\\"\",\"k\":\"v\\n\",\"n\":7}\n");
}

Test(base_log, bytes_that_are_not_utf8)
{
    /*
     * valid two, three, four byte sequences; then a lone tail byte, an overlong form, a surrogate,
     * a cut sequence
     */
    const char *line =
        render(LOG_FORMAT_JSON,
               "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x91|\x80|\xc0\xaf|\xed\xa0\x80|\xe2\x82", NULL, 0);
    json_error_t error;
    json_t *json = json_loads(line, 0, &error);

    cr_assert_not_null(json, "%s: %s", error.text, line);
    cr_expect_str_eq(json_string_value(json_object_get(json, "msg")),
                     "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x91|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|"
                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(json);
}

Test(base_log, a_cut_json_line_is_still_json)
{
    char value[5000];
    char out[400];

    for (size_t size = 16; size < sizeof(out); size++) {
        memset(value, '"', sizeof(value) - 1);
        value[sizeof(value) - 1] = '\0';
        size_t length = log_render(
            LOG_LEVEL_WARN, LOG_FORMAT_JSON, AT, "message",
            LOG_FIELDS(LOG_STR("a", "b"), LOG_STR("k", value), LOG_INT("n", 1)), out, size);
        cr_assert_lt(length, size);
        cr_assert_eq(out[length - 1], '\n');
        json_t *json = json_loads(out, 0, NULL);
        cr_assert_not_null(json, "size %zu: %s", size, out);
        json_decref(json);
    }
}

Test(base_log, a_cut_logfmt_line_ends_its_quotes_and_itself)
{
    char value[5000];
    char out[200];

    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    size_t length = log_render(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT, AT, "m",
                               LOG_FIELDS(LOG_STR("k", value)), out, sizeof(out));
    cr_expect_gt(length, sizeof(out) - 10, "a long plain value is cut, not left out");
    cr_expect_eq(out[length - 1], '\n');
    value[0] = ' ';
    length = log_render(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT, AT, "m", LOG_FIELDS(LOG_STR("k", value)),
                        out, sizeof(out));
    cr_expect_eq(out[length - 1], '\n');
    cr_expect_eq(out[length - 2], '"');
}

static size_t written_by(void (*body)(void), char *out, size_t size)
{
    int ends[2];
    int saved = dup(STDERR_FILENO);

    cr_assert_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    body();
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    ssize_t n = read(ends[0], out, size - 1);
    close(ends[0]);
    close(saved);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void all_levels(void)
{
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
    log_debug("d", LOG_INT("n", 1));
    log_info("i", LOG_INT("n", 1));
    log_warn("w", LOG_INT("n", 1));
    log_error("e", LOG_INT("n", 1));
}

Test(base_log, levels)
{
    char out[4096];

    written_by(all_levels, out, sizeof(out));
    cr_expect_null(strstr(out, "msg=d"));
    cr_expect_null(strstr(out, "msg=i"));
    cr_expect_not_null(strstr(out, "level=warn"));
    cr_expect_not_null(strstr(out, "level=error"));
}

Test(base_clock, utc_text)
{
    char out[CLOCK_TEXT_SIZE];

    clock_format_utc(AT, out);
    cr_expect_str_eq(out, "2026-11-22T12:00:00.123Z");
    clock_format_utc(0, out);
    cr_expect_str_eq(out, "1970-01-01T00:00:00.000Z");
    clock_format_utc(-1, out);
    cr_expect_str_eq(out, "1969-12-31T23:59:59.999Z");
    clock_format_utc(INT64_MAX, out);
    cr_expect_str_eq(out, "invalid-time");
}

Test(base_clock, both_clocks_go_on)
{
    int64_t boot = clock_boot_ms();
    int64_t wall = clock_wall_ms();

    cr_expect_gt(boot, 0);
    cr_expect_gt(wall, INT64_C(1700000000000));
    usleep(3000);
    cr_expect_geq(clock_boot_ms() - boot, 2);
    cr_expect_geq(clock_wall_ms() - wall, 2);
}

Test(base_memory, never_null)
{
    unsigned char *zeroed = mem_new(100, 3);
    void *empty = mem_new(0, 8);

    for (size_t i = 0; i < 300; i++) {
        cr_assert_eq(zeroed[i], 0);
    }
    cr_expect_not_null(empty);
    zeroed = mem_resize(zeroed, 1000, 3);
    cr_expect_not_null(zeroed);
    empty = mem_resize(empty, 0, 8);
    cr_expect_not_null(empty);
    cr_expect_null(mem_strdup(NULL));
    free(zeroed);
    free(empty);
}

/* ---- a standard error that nobody reads ---- */

static int reader;
static char *received;
static size_t received_size;

/* Standard error becomes a pipe that is full. */
static void clog_up(void)
{
    static const char rubbish[1024];
    int ends[2];

    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], rubbish, sizeof(rubbish)) > 0) {
    }
    cr_assert_eq(fcntl(ends[1], F_SETFL, 0), 0);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    received = malloc((size_t)4 * 1024 * 1024);
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
}

/* Take what is there within that time; the rubbish, which is zeroes, is left out. */
static void read_for(int patience_ms)
{
    struct pollfd waiting = {.fd = reader, .events = POLLIN};
    char piece[4096];

    while (poll(&waiting, 1, patience_ms) > 0) {
        ssize_t n = read(reader, piece, sizeof(piece));

        if (n <= 0) {
            break;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (piece[i] != '\0') {
                received[received_size++] = piece[i];
            }
        }
    }
    received[received_size] = '\0';
}

/* Lines with n=0, 1, 2 ... and nothing else. @return how many. */
static int64_t count_in_order(const char **rest)
{
    int64_t n = 0;

    for (*rest = received; **rest != '\0'; n++) {
        char end[32];
        const char *newline = strchr(*rest, '\n');
        size_t size = (size_t)snprintf(end, sizeof(end), " n=%lld", (long long)n);

        cr_assert_not_null(newline);
        if ((size_t)(newline - *rest) < size || memcmp(newline - size, end, size) != 0) {
            break;
        }
        *rest = newline + 1;
    }
    return n;
}

Test(base_log, a_reader_that_hangs_stops_nobody_and_learns_what_it_missed, .timeout = 20)
{
    enum { LINES = 20000 };
    const char *rest;
    char gap[64];

    clog_up();
    log_start();
    int64_t began_ms = clock_boot_ms();
    for (int n = 0; n < LINES; n++) {
        log_warn("something happened", LOG_INT("n", n));
    }
    cr_expect_lt(clock_boot_ms() - began_ms, 5000);
    cr_expect_not(log_flush(20), "nothing can be written yet");
    for (int tries = 0; tries < 100 && !log_flush(1); tries++) {
        read_for(50);
    }
    read_for(0); /* there is room in the pipe for what comes */
    log_warn("and on", LOG_INT("again", 1));
    cr_expect(log_stop(5000));
    read_for(0);
    int64_t n = count_in_order(&rest);
    cr_expect_gt(n, 1000, "some wait");
    cr_expect_lt(n, LINES, "not all do");
    snprintf(gap, sizeof(gap), " lines=%lld\n", (long long)(LINES - n));
    const char *notice = strstr(rest, "msg=\"log lines dropped: standard error was not read\"");
    cr_assert_not_null(notice, "%.300s", rest);
    cr_expect_not_null(strstr(notice, gap), "%.300s", rest);
    cr_expect_not_null(strstr(notice, "msg=\"and on\" again=1\n"), "%.300s", rest);
    cr_expect_null(strstr(strchr(notice, '\n'), "dropped"));
}

Test(base_log, the_end_does_not_wait_for_a_reader_that_hangs, .timeout = 20)
{
    clog_up();
    log_start();
    log_warn("lost", LOG_INT("n", 0));
    int64_t began_ms = clock_boot_ms();
    log_last_words("help\n", 5, 0);
    log_last_words("help\n", 5, 50);
    log_plain("bellwether: %s", "lost, too");
    cr_expect_not(log_stop(100));
    log_warn("after the end", LOG_INT("n", 1));
    cr_expect_lt(clock_boot_ms() - began_ms, 5000);
    read_for(200);
    cr_expect_null(strstr(received, "help"));
    cr_expect_null(strstr(received, "lost, too"));
}

Test(base_log, lines_for_people_stand_behind_the_log, .timeout = 20)
{
    const char *rest;

    clog_up();
    read_for(0);
    log_start();
    for (int n = 0; n < 100; n++) {
        log_warn("something happened", LOG_INT("n", n));
    }
    log_plain("bellwether: %s", "no");
    cr_expect(log_stop(5000));
    log_warn("by itself", LOG_INT("n", 1)); /* without the thread */
    read_for(0);
    cr_expect_eq(count_in_order(&rest), 100);
    cr_expect_eq(strncmp(rest, "bellwether: no\nlevel=warn ", 26), 0, "%s", rest);
    cr_expect_not_null(strstr(rest, "msg=\"by itself\" n=1\n"));
}

Test(base_log, nothing_is_lost_where_others_made_it_not_block, .timeout = 20)
{
    const char *rest;

    clog_up();
    cr_assert_eq(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
    log_start();
    for (int n = 0; n < 1000; n++) {
        log_warn("something happened", LOG_INT("n", n));
    }
    cr_expect_not(log_flush(20));
    for (int tries = 0; tries < 100 && !log_flush(1); tries++) {
        read_for(50);
    }
    cr_expect(log_stop(5000));
    read_for(0);
    cr_expect_eq(count_in_order(&rest), 1000, "%.300s", rest);
}
