/*
 * What surrounds an integration test: a folder of its own, memory that lives as long as the test,
 * waiting with a bound, the record of every HTTP answer, and the end: every process stopped, every
 * answer checked against openapi.yaml.
 *
 * A file of tests says
 *
 *     SCENE_SUITE(integration_failover); SCENE(integration_failover, kill_nine) { ... }
 *
 * and frees nothing: what helpers return lives until the test ends.
 */
#ifndef BELLWETHER_TESTS_SUPPORT_SCENE_H
#define BELLWETHER_TESTS_SUPPORT_SCENE_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A suite whose tests have a folder, a bound of their own and an end. */
#define SCENE_SUITE(suite) \
    TestSuite(suite, .init = scene_start, .fini = scene_end, .timeout = SCENE_TIMEOUT)
/* Much more than any test takes alone: it ends what hangs, and is no measure of speed. */
#define SCENE_TIMEOUT 90

/* A test: its body, then the checks that a failed assertion inside `.fini` could not report. */
#define SCENE(suite, what) \
    static void suite##_##what(void); \
    Test(suite, what) \
    { \
        suite##_##what(); \
        scene_check(); \
    } \
    static void suite##_##what(void)

void scene_start(void);
void scene_end(void);
/**
 * Fails the test when an answer that was recorded breaks openapi.yaml, or a process that must live
 * has died.
 */
void scene_check(void);
/** Say why aloud, tidy up, and skip this test. */
void scene_skip(const char *why);
/** The test's own folder; gone after the test unless it fails. */
const char *scene_folder(void);
/** suite/test */
const char *scene_test_name(void);

/** Memory that is freed when the test ends. */
void *scene_alloc(size_t size);
/** Take `object`: `drop` is called with it when the test ends. @return object. */
void *scene_keep(void *object, void (*drop)(void *));
/** printf into kept memory. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** A file's bytes, terminated; "" when it is not there. Kept. */
char *file_read(const char *path);
/** Write a file (mode 0600) whole. */
void file_write(const char *path, const char *contents);
/** The same in the test's folder, with the newline that editors leave. @return its path. */
const char *password_file(const char *name, const char *password);
/** How often `needle` stands in `haystack`. */
size_t count_in(const char *haystack, const char *needle);

/**
 * One line of the record that is checked against openapi.yaml.
 * @param headers borrowed, an object with lower-case names.
 * @param skip    an answer of libmicrohttpd's own, which has its own form.
 */
void scene_record(const char *method, const char *path, long status, json_t *headers,
                  const char *body, size_t body_len, bool skip);

/** Monotonic milliseconds. */
int64_t now_ms(void);
/** A short pause inside a loop that waits for a condition; nothing else may sleep. */
void nap_ms(int ms);
/** Bounds are multiplied by TEST_PATIENCE (sanitizers, slow machines). */
int64_t patient(int64_t ms);
/**
 * When a wait of at most bound_ms is over that begins now. A machine that stands still for a moment
 * gets that moment on top: nobody who waits measures how fast something is.
 */
int64_t wait_ends_ms(int64_t bound_ms);

/* Wait until the condition holds, at most bound_ms; the test fails when it doesn't. */
#define WAIT_UNTIL(bound_ms, condition) \
    do { \
        const int64_t wait_end_ = wait_ends_ms(bound_ms); \
        while (!(condition)) { \
            cr_assert(now_ms() < wait_end_, "not within %lld ms: %s", (long long)(bound_ms), \
                      #condition); \
            nap_ms(15); \
        } \
    } while (0)

/* The condition must hold every time it is looked at, for so long. */
#define HOLDS_FOR(span_ms, condition) \
    do { \
        const int64_t hold_end_ = now_ms() + (span_ms); \
        do { \
            cr_assert(condition, "does not hold: %s", #condition); \
            nap_ms(10); \
        } while (now_ms() < hold_end_); \
    } while (0)

#endif
