/*
 * Requests that no honest client sends. Each has its answer, and after each the daemon still
 * serves.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../support/daemon.h"
#include "../support/scene.h"

SCENE_SUITE(integration_bad_input);

static const struct daemon *serving_with(const char *idle_timeout)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon =
        daemon_start(cluster, "--idle-timeout", idle_timeout, "--max-body", "1KiB", NULL);

    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    return daemon;
}

static const struct daemon *serving(void)
{
    return serving_with("60s");
}

/* The status of the answer to these bytes; 0: the connection was closed without one. */
static long answer_to(const struct daemon *daemon, const char *bytes, size_t n)
{
    const struct http_answer *answer = raw_exchange(daemon->port, bytes, n, 4000);

    cr_assert(answer->status != 0 || strstr(answer->problem, "closed"),
              "neither an answer nor an end: %s", answer->problem);
    return answer->status;
}

enum { ROOM = 1 << 17 };

/* Append to a request of ROOM bytes. */
static void put(char *request, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(char *request, const char *format, ...)
{
    const size_t used = strlen(request);
    va_list arguments;

    va_start(arguments, format);
    const int n = vsnprintf(request + used, ROOM - used, format, arguments);
    va_end(arguments);
    cr_assert(n >= 0 && used + (size_t)n < ROOM);
}

static bool refuses(long status)
{
    return status == 0 || (status >= 400 && status < 500);
}

SCENE(integration_bad_input, request_line_of_64_kb)
{
    const struct daemon *daemon = serving();
    char *request = scene_alloc(ROOM);

    put(request, "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", 64 << 10, 0);
    cr_assert_eq(answer_to(daemon, request, strlen(request)), 414);
    still_serves(daemon);
}

SCENE(integration_bad_input, a_thousand_headers)
{
    const struct daemon *daemon = serving();
    char *request = scene_alloc(ROOM);

    put(request, "GET /master HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 1000; i++) {
        put(request, "X-Header-%d: some value %d\r\n", i, i);
    }
    put(request, "\r\n");
    cr_assert_eq(answer_to(daemon, request, strlen(request)), 431);
    still_serves(daemon);
}

SCENE(integration_bad_input, bodies_on_get)
{
    const struct daemon *daemon = serving();
    static const char small[] =
        "GET /version HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

    cr_assert_eq(answer_to(daemon, small, sizeof(small) - 1), 200);
    struct raw *raw = raw_open(daemon->port); /* the connection survives it */
    cr_assert(raw_send(raw, small, sizeof(small) - 1));
    cr_assert_eq(raw_answer(raw, 3000)->status, 200);
    cr_assert_eq(raw_get(raw, "/version", 3000)->status, 200);
    char *large = scene_alloc(ROOM);
    put(large, "GET /master HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n%04096d", 0);
    cr_assert_eq(answer_to(daemon, large, strlen(large)), 413);
    static const char huge[] =
        "GET /master HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n";
    cr_assert(refuses(answer_to(daemon, huge, sizeof(huge) - 1)));
    still_serves(daemon);
}

SCENE(integration_bad_input, chunked_body_over_the_limit)
{
    const struct daemon *daemon = serving();
    char *request = scene_alloc(ROOM);

    put(request, "GET /master HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        put(request, "40\r\n%064d\r\n", i);
    }
    put(request, "0\r\n\r\n");
    const long status = answer_to(daemon, request, strlen(request));
    cr_assert(status == 413 || status == 0, "%ld", status);
    still_serves(daemon);
}

SCENE(integration_bad_input, half_a_request_and_silence)
{
    const struct daemon *daemon = serving_with("1s");
    static const char *const halves[] = {
        "", "G", "GET /master HT", "GET /master HTTP/1.1\r\nHost: a\r\n",
        "GET /master HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"};
    struct raw *silent[5];

    for (size_t i = 0; i < 5; i++) {
        silent[i] = raw_open(daemon->port);
        cr_assert(raw_send(silent[i], halves[i], strlen(halves[i])));
    }
    still_serves(daemon);
    for (size_t i = 0; i < 5; i++) { /* idle-timeout is 1 s */
        cr_assert(raw_closes(silent[i], 5000), "half %zu is kept open", i);
    }
    still_serves(daemon);
}

SCENE(integration_bad_input, idle_connection_is_closed)
{
    const struct daemon *daemon = serving_with("1s");
    struct raw *raw = raw_open(daemon->port);

    cr_assert_eq(raw_get(raw, "/version", 3000)->status, 200);
    cr_assert(raw_closes(raw, 5000));
    still_serves(daemon);
}

SCENE(integration_bad_input, odd_paths)
{
    const struct daemon *daemon = serving();
    static const char *const paths[] = {"/master%00",        "/%00",
                                        "/masters/%00x",     "/master%",
                                        "/master%2",         "/master%zz",
                                        "/masters/%ff",      "/./master",
                                        "/../../etc/passwd", "/%2e%2e%2fmaster",
                                        "/masters/%c0%af",   "/master#x",
                                        "/master;x",         "/master\\",
                                        "/masters/'or 1=1"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const char *request = text("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        const long status = answer_to(daemon, request, strlen(request));

        cr_assert(refuses(status), "%s: %ld", paths[i], status);
    }
    static const char nul[] = "GET /mas\0ter HTTP/1.1\r\nHost: a\r\n\r\n";
    cr_assert(refuses(answer_to(daemon, nul, sizeof(nul) - 1)));
    still_serves(daemon);
}

SCENE(integration_bad_input, odd_queries)
{
    const struct daemon *daemon = serving();
    static const char *const queries[] = {"format=%zz", "format=%", "format=te%00xt", "max_lag=%f"};

    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        const char *request = text("GET /replica?%s HTTP/1.1\r\nHost: a\r\n\r\n", queries[i]);
        const long status = answer_to(daemon, request, strlen(request));

        cr_assert(refuses(status), "%s: %ld", queries[i], status);
    }
    char *many = text("%s", "GET /master?a=1");
    for (int i = 0; i < 300; i++) {
        many = text("%s&a=1", many);
    }
    const char *request = text("%s HTTP/1.1\r\nHost: a\r\n\r\n", many);
    const long status = answer_to(daemon, request, strlen(request));
    cr_assert(status == 200 || refuses(status), "%ld", status);
    still_serves(daemon);
}

/*
 * What is said before any route, as openapi.yaml has it: `sent` is the beginning of a request on
 * `path`.
 */
static void expect_at_the_door(const struct daemon *daemon, const char *sent, const char *method,
                               const char *path, long status, const char *type)
{
    struct raw *raw = raw_open(daemon->port);

    cr_assert(raw_send(raw, sent, strlen(sent)));
    const struct http_answer *answer = raw_answer(raw, 5000);
    cr_assert_eq(answer->status, status, "%s: %s", sent, http_text(answer));
    cr_assert_str_eq(http_header(answer, "content-type"), type, "%s", sent);
    raw_record(answer, method, path);
    cr_assert(raw_closes(raw, 3000));
}

SCENE(integration_bad_input, what_is_said_at_the_door)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *patient = daemon_start(cluster, "--redis-api", "loopback", NULL),
                        *hasty = daemon_start(cluster, "--request-timeout", "500ms", "--redis-api",
                                              "loopback", NULL),
                        *daemon = patient;

    if (daemon->certificates) {
        scene_skip("over TLS nobody can look at a head before libmicrohttpd does");
    }
    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    static const char json[] = "application/problem+json", plain[] = "text/plain; charset=utf-8";
    static const struct {
        const char *line, *headers;
        long status;
    } cases[] = {
        {" HTTP/1.1", "\r\n", 400}, /* no Host */
        {" HTTP/1.1", "Host: a\r\nHost: a\r\n", 400},
        {" HTTP/1.1", "Host: a\r\nno colon\r\n", 400},
        {" HTTP/1.1", "Host: a\r\nTransfer-Encoding: gzip\r\n", 501},
        {" HTTP/2.0", "", 505},
        {" HTTP/1.1", "Host: a\r\nX: half of a", 408},
    };
    static const struct {
        const char *method, *path;
    } routes[] = {{"GET", "/master"},         {"GET", "/version"},      {"GET", "/metrics"},
                  {"GET", "/livez"},          {"GET", "/openapi.yaml"}, {"POST", "/redis"},
                  {"POST", "/redis/get/key"}, {"GET", "/self/master"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        daemon = cases[i].status == 408 ? hasty : patient;
        for (size_t j = 0; j < (cases[i].status == 408 ? 6 : sizeof(routes) / sizeof(*routes));
             j++) {
            const char *method = routes[j].method, *path = routes[j].path;
            const bool runs = strncmp(path, "/redis", 6) == 0;

            expect_at_the_door(daemon,
                               text("%s %s%s\r\n%s", method, path, cases[i].line, cases[i].headers),
                               method, path, cases[i].status, json);
            expect_at_the_door(daemon,
                               text("%s %s%s\r\nAccept: text/plain\r\n%s", method, path,
                                    cases[i].line, cases[i].headers),
                               method, path, cases[i].status, runs ? json : plain);
        }
    }
    daemon = patient;
    char *large = scene_alloc(ROOM);
    put(large, "GET /master HTTP/1.1\r\nHost: a\r\nX: %0*d\r\n\r\n", 8192, 0);
    expect_at_the_door(daemon, large, "GET", "/master", 431, json);
    *large = '\0';
    put(large, "GET /master?%0*d HTTP/1.1\r\nHost: a\r\n\r\n", 8192, 0);
    expect_at_the_door(daemon, large, "GET", "/master", 414, json);
    expect_at_the_door(daemon, "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", "GET", "/master", 400, json);
    static const char late[] =
        "POST /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf";
    expect_at_the_door(hasty, late, "POST", "/redis", 408, json);
    still_serves(hasty);
    still_serves(patient);
}

/* So many at once that nobody is let in any more to be told by a route. */
SCENE(integration_bad_input, a_flood_is_told_at_the_door)
{
    struct cluster *cluster = cluster_start_one(NULL);
    const struct daemon *daemon = daemon_start(cluster, "--max-connections", "10", NULL);

    if (daemon->certificates) {
        scene_skip("over TLS nobody is answered at the door");
    }
    EXPECT_MASTER(daemon, &cluster->nodes[0], 4000);
    struct raw *in[10];
    for (size_t i = 0; i < 10; i++) {
        in[i] = raw_open(daemon->port);
        cr_assert_eq(raw_get(in[i], "/version", 3000)->status, 200);
    }
    static const char half[] = "POST /version HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf";
    for (size_t i = 0; i < 400; i++) { /* they are refused when they are whole */
        struct raw *raw = raw_open(daemon->port);

        cr_assert(raw && raw_send(raw, half, sizeof(half) - 1));
    }
    static const struct {
        const char *method, *path, *headers, *type;
    } cases[] = {
        {"GET", "/master", "", "application/problem+json"},
        {"GET", "/master?format=text", "", "text/plain; charset=utf-8"},
        {"GET", "/replica", "Accept: text/plain\r\n", "text/plain; charset=utf-8"},
        {"GET", "/readyz", "", "application/problem+json"},
        {"GET", "/self", "", "application/problem+json"},
        {"GET", "/metrics", "Accept: text/plain\r\n", "text/plain; charset=utf-8"},
        {"POST", "/redis", "Accept: text/plain\r\nContent-Length: 0\r\n",
         "application/problem+json"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *request = text("%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].method,
                                   cases[i].path, cases[i].headers);
        const struct http_answer *answer =
            raw_exchange(daemon->port, request, strlen(request), 3000);

        cr_assert_eq(answer->status, 503, "%s: %s", cases[i].path, http_text(answer));
        cr_assert(strstr(answer->body, "too many to tell each why"), "%s: %s", cases[i].path,
                  answer->body);
        cr_assert_str_eq(http_header(answer, "content-type"), cases[i].type, "%s", cases[i].path);
        raw_record(answer, cases[i].method, cases[i].path);
    }
    const char request[] = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    cr_assert_eq(raw_exchange(daemon->port, request, sizeof(request) - 1, 3000)->status, 200);
}

SCENE(integration_bad_input, hosts)
{
    const struct daemon *daemon = serving();
    static const char twice[] = "GET /master HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                      none[] = "GET /master HTTP/1.1\r\n\r\n";

    cr_assert_eq(answer_to(daemon, twice, sizeof(twice) - 1), 400);
    cr_assert_eq(answer_to(daemon, none, sizeof(none) - 1), 400);
    still_serves(daemon);
}

SCENE(integration_bad_input, not_http_at_all)
{
    const struct daemon *daemon = serving();

    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
#define BYTES(literal) {literal, sizeof(literal) - 1}
        BYTES("*1\r\n$4\r\nPING\r\n"), /* a Redis client at the wrong port */
        BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 client hello"),
        BYTES("\0\0\0\0\0\0\0\0\r\n\r\n"),
        BYTES("GET\r\n\r\n"),
        BYTES("GET /master HTTP/9.9\r\nHost: a\r\n\r\n"),
        BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        BYTES(
            "GET /master HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        BYTES("GET /master HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
        BYTES("GET /master HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct http_answer *answer =
            raw_exchange(daemon->port, cases[i].bytes, cases[i].n, 4000);

        cr_assert(answer->status == 0 || answer->status >= 400, "case %zu: %s", i,
                  http_text(answer));
    }
    static const char strange[] = "BREW /master HTTP/1.1\r\nHost: a\r\n\r\n";
    const long status = answer_to(daemon, strange, sizeof(strange) - 1);
    cr_assert(status == 405 || status == 501 || status == 400, "%ld", status);
    still_serves(daemon);
}

SCENE(integration_bad_input, byte_by_byte)
{
    const struct daemon *daemon = serving();
    struct raw *raw = raw_open(daemon->port);
    static const char request[] = "GET /version HTTP/1.1\r\nHost: a\r\n\r\n";

    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        cr_assert(raw_send(raw, request + i, 1));
        nap_ms(3);
    }
    cr_assert_eq(raw_answer(raw, 3000)->status, 200);
    still_serves(daemon);
}

SCENE(integration_bad_input, everything_after_another)
{
    const struct daemon *daemon = serving();

    for (int i = 0; i < 200; i++) { /* callers that vanish at every point of a request */
        struct raw *raw = raw_open(daemon->port);
        static const char request[] =
            "GET /master HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";

        cr_assert(raw);
        (void)raw_send(raw, request, (size_t)i % sizeof(request));
        raw_close(raw);
    }
    still_serves(daemon);
    WAIT_UNTIL(2000, status_of(daemon, "/master") == 200);
}
