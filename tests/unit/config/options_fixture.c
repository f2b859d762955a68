/* Options read in a test: what they are read from, and what was said. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options_fixture.h"

#define MAX_WORDS 32

struct options options;
enum options_outcome outcome;
int exit_code;
char said[65536];   /* standard output */
char failed[65536]; /* standard error */
static char *environment[MAX_WORDS];
static size_t n_environment;
char path[64]; /* of the file made by options_write_file() */

static void set_up(void)
{
    memset(&options, 0, sizeof(options));
    memset(environment, 0, sizeof(environment));
    n_environment = 0;
    path[0] = '\0';
}

static void tear_down(void)
{
    if (outcome == OPTIONS_RUN) {
        options_release(&options);
    }
    if (path[0] != '\0') {
        unlink(path);
    }
}

TestSuite(options, .init = set_up, .fini = tear_down, .timeout = 20);

void options_set_variable(char *text)
{
    environment[n_environment++] = text;
}

void options_write_file(const char *text)
{
    snprintf(path, sizeof(path), "/tmp/bellwether-options-XXXXXX");
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void read_back(FILE *file, char *out, size_t size)
{
    rewind(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

void options_run(char *first, ...)
{
    char *argv[MAX_WORDS] = {(char[]){"bellwether"}, first};
    int argc = !first ? 1 : 2;
    va_list rest;

    va_start(rest, first);
    while (first && (argv[argc] = va_arg(rest, char *))) {
        argc++;
    }
    va_end(rest);
    if (outcome == OPTIONS_RUN) {
        options_release(&options);
    }
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    fflush(stdout);
    int old_out = dup(STDOUT_FILENO);
    int old_err = dup(STDERR_FILENO);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    outcome = options_read(argc, argv, environment, &options, &exit_code);
    fflush(stdout);
    fflush(stderr);
    dup2(old_out, STDOUT_FILENO);
    dup2(old_err, STDERR_FILENO);
    close(old_out);
    close(old_err);
    read_back(out, said, sizeof(said));
    read_back(err, failed, sizeof(failed));
}

void options_run_file(const char *text)
{
    options_write_file(text);
    options_run((char[]){"--config"}, path, NULL);
    unlink(path);
}

void options_expect_run(void)
{
    cr_assert_eq(outcome, OPTIONS_RUN, "%s", failed);
    cr_expect_str_eq(failed, "");
}

void options_expect_refused(const char *words, ...)
{
    va_list more;

    cr_assert_eq(outcome, OPTIONS_EXIT, "accepted; expected a refusal with %s", words);
    cr_expect_eq(exit_code, 2);
    cr_expect_str_eq(said, "");
    size_t length = strlen(failed);
    cr_assert_gt(length, 1);
    cr_expect_eq(strchr(failed, '\n'), failed + length - 1, "not one line: %s", failed);
    va_start(more, words);
    for (; words; words = va_arg(more, const char *)) {
        cr_expect_not_null(strstr(failed, words), "no \"%s\" in: %s", words, failed);
    }
    va_end(more);
}
