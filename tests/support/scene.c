/*
 * The frame of an integration test: folder, kept memory, waiting, the record of HTTP answers and
 * its check.
 *
 * Criterion runs every test in a process of its own, so what is static here belongs to one test. It
 * does not count an assertion that fails inside `.fini`; that's why scene_check() runs at the end
 * of the test's body (see SCENE).
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

struct kept {
    void *object;
    void (*drop)(void *);
    struct kept *next;
};

static struct kept *kept;
static char folder[160];
static bool passed;
static int record = -1;

const char *scene_test_name(void)
{
    static char name[160];

    if (!criterion_current_test) {
        return "?";
    }
    (void)snprintf(name, sizeof(name), "%s/%s", criterion_current_test->category,
                   criterion_current_test->name);
    return name;
}

const char *scene_folder(void)
{
    return folder;
}

void scene_start(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(folder, sizeof(folder), "/tmp/bellwether-it-%.100s-XXXXXX",
                   !criterion_current_test ? "test" : criterion_current_test->name);
    if (!mkdtemp(folder)) {
        abort();
    }
    passed = false;
}

static int remove_entry(const char *path, const struct stat *unused_status, int unused_type,
                        struct FTW *unused_walk)
{
    (void)unused_status, (void)unused_type, (void)unused_walk;
    (void)remove(path);
    return 0;
}

static void drop_kept(void)
{
    while (kept) {
        struct kept *last = kept;

        kept = last->next;
        last->drop(last->object);
        free(last);
    }
}

void scene_end(void)
{
    if (!passed) {
        process_report_dead();
    }
    process_stop_all();
    if (record >= 0) {
        (void)close(record);
    }
    record = -1;
    if (passed && !getenv("TEST_KEEP")) {
        (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    } else {
        (void)fprintf(stderr, "%s: logs are in %s\n", scene_test_name(), folder);
    }
    drop_kept();
}

void scene_skip(const char *why)
{
    (void)fprintf(stderr, "SKIPPED %s: %s\n", scene_test_name(), why);
    passed = true;
    scene_end();
    cr_skip_test("%s", why);
}

/*
 * run.sh validates the exchanges of all tests at once (EXCHANGES); a test that is run alone
 * validates its own.
 */
void scene_check(void)
{
    process_check_all();
    if (record >= 0 && !getenv("EXCHANGES") && access("openapi.yaml", R_OK) == 0) {
        const struct process_result result =
            process_run(30000, NULL,
                        (const char *const[]){"node", "tests/support/validate.mjs", "openapi.yaml",
                                              text("%s/exchanges.jsonl", folder), NULL});

        cr_assert(result.exit_code == 0, "answers break openapi.yaml:\n%s%s", result.out,
                  result.err);
    }
    passed = true;
}

/*
 * Whether this test has recorded the same line before: tests that wait ask the same thing hundreds
 * of times.
 */
static bool recorded_before(const char *line)
{
    enum { LINES = 8192 };
    static uint64_t seen[LINES];
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (const char *c = line; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    }
    uint64_t *slot = &seen[hash % LINES];
    if (*slot == hash) {
        return true;
    }
    *slot = hash;
    return false;
}

void scene_record(const char *method, const char *path, long status, json_t *headers,
                  const char *body, size_t body_len, bool skip)
{
    if (record < 0) {
        const char *shared = getenv("EXCHANGES");

        record = open(shared ? shared : text("%s/exchanges.jsonl", folder),
                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        cr_assert(record >= 0, "no file for exchanges: %s", strerror(errno));
    }
    const char *type = json_string_value(json_object_get(headers, "content-type"));
    if (type && strcmp(type, "application/octet-stream") == 0) { /* which no JSON may hold */
        body = "bytes";
        body_len = strlen(body);
    }
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:I, s:O, s:o, s:b}", "test", scene_test_name(), "method",
                  method, "path", path, "status", (json_int_t)status, "headers", headers, "body",
                  json_stringn(body, body_len), "skip", skip ? 1 : 0);
    char *dump = !line ? NULL : json_dumps(line, JSON_COMPACT);
    cr_assert(dump, "the answer to %s %s is not UTF-8", method, path);
    const char *whole = text("%s\n", dump); /* one write: tests share the file */
    cr_assert(recorded_before(whole) ||
              write(record, whole, strlen(whole)) == (ssize_t)strlen(whole));
    free(dump);
    json_decref(line);
}

void *scene_keep(void *object, void (*drop)(void *))
{
    struct kept *entry = malloc(sizeof(*entry));

    if (!entry) {
        abort();
    }
    *entry = (struct kept){object, drop, kept};
    kept = entry;
    return object;
}

void *scene_alloc(size_t size)
{
    void *memory = calloc(1, size == 0 ? 1 : size);

    if (!memory) {
        abort();
    }
    return scene_keep(memory, free);
}

char *text(const char *format, ...)
{
    char *out = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&out, format, arguments) < 0) {
        abort();
    }
    va_end(arguments);
    return scene_keep(out, free);
}

char *file_read(const char *path)
{
    FILE *file = fopen(path, "re");

    if (!file) {
        return text("%s", "");
    }
    size_t size = 0, room = 1 << 16;
    char *contents = malloc(room);
    for (;;) {
        if (!contents) {
            abort();
        }
        const size_t got = fread(contents + size, 1, room - size - 1, file);
        if (got == 0) {
            break;
        }
        size += got;
        if (room - size < 4096) {
            contents = realloc(contents, room *= 2);
        }
    }
    contents[size] = '\0';
    (void)fclose(file);
    return scene_keep(contents, free);
}

void file_write(const char *path, const char *contents)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert(fd >= 0, "can't write %s: %s", path, strerror(errno));
    const size_t length = strlen(contents);
    cr_assert(write(fd, contents, length) == (ssize_t)length);
    (void)close(fd);
}

const char *password_file(const char *name, const char *password)
{
    const char *path = text("%s/%s", scene_folder(), name);

    file_write(path, text("%s\n", password));
    return path;
}

size_t count_in(const char *haystack, const char *needle)
{
    size_t n = 0;

    for (const char *at = haystack; (at = strstr(at, needle)); at += strlen(needle)) {
        n++;
    }
    return n;
}

int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void nap_ms(int ms)
{
    const struct timespec span = {ms / 1000, (long)(ms % 1000) * 1000000};

    (void)nanosleep(&span, NULL);
}

int64_t patient(int64_t ms)
{
    const char *factor = getenv("TEST_PATIENCE");
    const long times = !factor ? 1 : strtol(factor, NULL, 10);

    return ms * (times < 1 ? 1 : times);
}

int64_t wait_ends_ms(int64_t bound_ms)
{
    enum { STANDSTILL_MS = 2000 };

    return now_ms() + patient(bound_ms) + STANDSTILL_MS;
}
