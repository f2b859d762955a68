/* Secrets: files, their one newline, rotation by rewrite and by symlink, and what is refused. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellwether/base/clock.h"
#include "bellwether/base/error.h"
#include "bellwether/base/secret.h"

static char folder[] = "/tmp/bellwether-secret-XXXXXX";
static char path[64];
static char error[256];

static void write_to(const char *name, const char *bytes, size_t n)
{
    FILE *file = fopen(name, "w");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/password", folder);
    error[0] = '\0';
}

static void tear_down(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(base_secret, .init = set_up, .fini = tear_down);

Test(base_secret, fixed_values)
{
    struct secret *none = secret_new(NULL, NULL, error, sizeof(error));
    struct secret *fixed = secret_new(NULL, "abc", error, sizeof(error));
    struct secret *copy = secret_copy(fixed);

    cr_expect_null(secret_value(none));
    cr_expect_str_eq(secret_value(fixed), "abc");
    cr_expect_eq(secret_refresh(fixed, true, error, sizeof(error)), 0);
    secret_free(fixed);
    cr_expect_str_eq(secret_value(copy), "abc");
    secret_free(copy);
    secret_free(none);
    secret_free(NULL);
}

Test(base_secret, exactly_one_newline_is_stripped)
{
    static const char *const rows[][2] = {
        {"pw", "pw"}, {"pw\n", "pw"}, {"pw\n\n", "pw\n"}, {"pw\r\n", "pw"}, {" pw ", " pw "}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_to(path, rows[i][0], strlen(rows[i][0]));
        struct secret *secret = secret_new(path, NULL, error, sizeof(error));
        cr_assert_not_null(secret, "%s", error);
        cr_expect_str_eq(secret_value(secret), rows[i][1]);
        secret_free(secret);
    }
}

static void expect_refused(const char *words)
{
    error[0] = '\0';
    cr_expect_null(secret_new(path, NULL, error, sizeof(error)));
    cr_expect_not_null(strstr(error, path), "%s", error);
    cr_expect_not_null(strstr(error, words), "%s", error);
}

Test(base_secret, what_is_refused)
{
    char big[65537];

    expect_refused("No such file");
    write_to(path, "", 0);
    expect_refused("empty");
    write_to(path, "\n", 1);
    expect_refused("empty");
    write_to(path, "a\0b", 3);
    expect_refused("zero byte");
    memset(big, 'x', sizeof(big));
    write_to(path, big, sizeof(big));
    expect_refused("64 KiB");
    unlink(path);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused("not a regular file");
    rmdir(path);
}

Test(base_secret, follows_a_rewritten_file)
{
    write_to(path, "one\n", 4);
    struct secret *secret = secret_new(path, NULL, error, sizeof(error));

    cr_assert_not_null(secret);
    cr_expect_eq(secret_refresh(secret, false, error, sizeof(error)), 0);
    cr_expect_eq(secret_refresh(secret, true, error, sizeof(error)), 0, "read again, the same");
    write_to(path, "two-two\n", 8);
    cr_expect_eq(secret_refresh(secret, false, error, sizeof(error)), 1);
    cr_expect_str_eq(secret_value(secret), "two-two");
    write_to(path, "", 0); /* a writer between truncation and writing */
    cr_expect_eq(secret_refresh(secret, false, error, sizeof(error)), -BW_EIO);
    cr_expect_str_eq(secret_value(secret), "two-two");
    unlink(path);
    cr_expect_eq(secret_refresh(secret, false, error, sizeof(error)), -BW_EIO);
    cr_expect_not_null(strstr(error, path));
    cr_expect_str_eq(secret_value(secret), "two-two", "the old value stays");
    write_to(path, "three", 5);
    cr_expect_eq(secret_refresh(secret, false, error, sizeof(error)), 1);
    cr_expect_str_eq(secret_value(secret), "three");
    secret_free(secret);
}

Test(base_secret, follows_a_swapped_symlink)
{
    char first[80];
    char second[80];
    char swap[80];

    snprintf(first, sizeof(first), "%s/first", folder);
    snprintf(second, sizeof(second), "%s/second", folder);
    snprintf(swap, sizeof(swap), "%s/swap", folder);
    write_to(first, "aaa", 3);
    write_to(second, "bbb", 3);
    cr_assert_eq(symlink("first", path), 0);
    struct secret *secret = secret_new(path, NULL, error, sizeof(error));
    cr_assert_not_null(secret);
    cr_assert_eq(symlink("second", swap), 0);
    cr_assert_eq(rename(swap, path), 0);
    cr_expect_eq(secret_refresh(secret, false, error, sizeof(error)), 1);
    cr_expect_str_eq(secret_value(secret), "bbb");
    secret_free(secret);
}

Test(base_secret, a_pipe_is_read_once, .timeout = 10)
{
    int ends[2];
    char name[32];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], "piped\n", 6), 6);
    close(ends[1]);
    snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
    struct secret *secret = secret_new(name, NULL, error, sizeof(error));
    cr_assert_not_null(secret, "%s", error);
    cr_expect_str_eq(secret_value(secret), "piped");
    cr_expect_eq(secret_refresh(secret, true, error, sizeof(error)), 0);
    cr_expect_str_eq(secret_value(secret), "piped");
    secret_free(secret);
    close(ends[0]);
}

Test(base_secret, a_file_that_became_a_fifo_does_not_hang, .timeout = 10)
{
    write_to(path, "one", 3);
    struct secret *secret = secret_new(path, NULL, error, sizeof(error));

    cr_assert_not_null(secret);
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(secret_refresh(secret, false, error, sizeof(error)), -BW_EIO);
    cr_expect_str_eq(secret_value(secret), "one");
    secret_free(secret);
}

Test(base_secret, knows_when_its_value_was_taken)
{
    write_to(path, "one", 3);
    struct secret *secret = secret_new(path, NULL, error, sizeof(error));
    int64_t first_ms;

    cr_assert_not_null(secret);
    first_ms = secret_taken_ms(secret);
    cr_expect_leq(first_ms, clock_wall_ms());
    cr_expect_gt(first_ms, clock_wall_ms() - 10000);
    unlink(path);
    cr_expect_eq(secret_refresh(secret, false, error, sizeof(error)), -BW_EIO);
    cr_expect_eq(secret_taken_ms(secret), first_ms, "what is used is still that of then");
    write_to(path, "one", 3);
    cr_expect_eq(secret_refresh(secret, true, error, sizeof(error)), 0);
    cr_expect_eq(secret_taken_ms(secret), first_ms, "the same contents");
    while (clock_wall_ms() <= first_ms) {
    }
    write_to(path, "two", 3);
    cr_expect_eq(secret_refresh(secret, true, error, sizeof(error)), 1);
    cr_expect_gt(secret_taken_ms(secret), first_ms);
    secret_free(secret);
}

Test(base_secret, knows_who_can_get_at_a_file)
{
    static const struct {
        mode_t mode;
        const char *words; /* NULL: nobody who should not */
    } cases[] = {
        {0600, NULL},   {0400, NULL},    {0440, NULL},    {0640, NULL},    {0604, "read"},
        {0644, "read"}, {0660, "write"}, {0602, "write"}, {0666, "write"},
    };
    struct secret *fixed = secret_new(NULL, "abc", error, sizeof(error));

    cr_expect_null(secret_exposed(fixed));
    secret_free(fixed);
    write_to(path, "abc", 3);
    cr_assert_eq(chmod(path, 0644), 0);
    struct secret *secret = secret_new(path, NULL, error, sizeof(error));
    cr_expect_str_eq(secret_path(secret), path);
    cr_expect_not_null(secret_exposed(secret));
    cr_expect_null(secret_exposed(secret), "once");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(chmod(path, 0600), 0);
        (void)secret_refresh(secret, false, error, sizeof(error));
        (void)secret_exposed(secret);
        write_to(path, "abcd", 3 + i % 2);
        cr_assert_eq(chmod(path, cases[i].mode), 0);
        cr_expect_geq(secret_refresh(secret, false, error, sizeof(error)), 0);
        const char *words = secret_exposed(secret);
        cr_expect_eq(!words, !cases[i].words, "%o: %s", cases[i].mode, words);
        cr_expect(!words || strstr(words, cases[i].words), "%o: %s", cases[i].mode, words);
        cr_expect_eq(secret_refresh(secret, true, error, sizeof(error)), 0);
        cr_expect_null(secret_exposed(secret), "%o: the file is the same", cases[i].mode);
    }
    secret_free(secret);
}

Test(base_secret, a_complaint_is_made_once_a_minute_and_taken_back)
{
    struct secret_complaint complaint = {0};

    cr_expect_eq(secret_complain(&complaint, false, 1000), SECRET_SAY_NOTHING);
    cr_expect_eq(secret_complain(&complaint, true, 11000), SECRET_SAY_FAILING);
    for (int64_t at_ms = 21000; at_ms < 71000; at_ms += 10000) {
        cr_expect_eq(secret_complain(&complaint, true, at_ms), SECRET_SAY_NOTHING);
    }
    cr_expect_eq(secret_complain(&complaint, true, 71000), SECRET_SAY_FAILING);
    cr_expect_eq(secret_complain(&complaint, true, 81000), SECRET_SAY_NOTHING);
    cr_expect_eq(secret_complain(&complaint, false, 91000), SECRET_SAY_BACK);
    cr_expect_eq(secret_complain(&complaint, false, 101000), SECRET_SAY_NOTHING);
    cr_expect_eq(secret_complain(&complaint, true, 102000), SECRET_SAY_FAILING,
                 "another time is another news");
}
