/*
 * The callers' threads use nothing that belongs to the test's frame (kept memory, assertions): they
 * note, and the test looks when they have ended.
 */
#include "writers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "scene.h"

enum { ANSWER_BYTES = 4096, ODD_BYTES = 600, GIVE_UP_S = 60 };

enum kind { INCREMENT, ADD, SET, READ, KINDS };

/* What became of one SADD. */
enum add { ADD_NONE, ADD_ACKNOWLEDGED, ADD_UNKNOWN, ADD_NOT_SENT };

struct caller {
    struct writers *writers;
    size_t number;
    bool reader;
    pthread_t thread;
    int fd; /* -1: to be dialled */
    struct tally tallies[KINDS];
    enum add *adds; /* by serial number */
    size_t n_adds;
    size_t last_set;     /* the last serial that was acknowledged */
    size_t tried_set;    /* and that was sent */
    long long counted;   /* over a forward: the highest number that INCR was answered with */
    size_t went_back;    /* times that it was answered with none higher */
    int64_t answered_ms; /* over a forward: when something was acknowledged last */
    char odd[ODD_BYTES]; /* the first answer that should not be */
};

struct writers {
    struct writers_spec spec;
    struct sockaddr_in to;
    struct caller *callers;
    size_t n;
    _Atomic bool stop;
    _Atomic size_t acknowledged, read;
    bool stopped;
    struct tally tallies[KINDS];
};

/* ---- one request ---- */

static void note_odd(struct caller *caller, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void note_odd(struct caller *caller, const char *format, ...)
{
    va_list arguments;

    if (caller->odd[0] != '\0') {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(caller->odd, sizeof(caller->odd), format, arguments);
    va_end(arguments);
}

static bool dial(struct caller *caller)
{
    const struct timeval bound = {GIVE_UP_S, 0};

    if (caller->fd >= 0) {
        return true;
    }
    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(caller->fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
    if (connect(caller->fd, (const struct sockaddr *)&caller->writers->to,
                sizeof(caller->writers->to)) == 0) {
        return true;
    }
    (void)close(caller->fd);
    caller->fd = -1;
    return false;
}

/* One whole answer. @return its status; 0: the connection ended, or nothing came. */
static int receive(int fd, char answer[ANSWER_BYTES])
{
    for (size_t n = 0; n < ANSWER_BYTES - 1;) {
        const ssize_t got = recv(fd, answer + n, ANSWER_BYTES - 1 - n, 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return 0;
        }
        n += (size_t)got;
        answer[n] = '\0';
        const char *end = strstr(answer, "\r\n\r\n"),
                   *length = strcasestr(answer, "content-length:");
        if (end && length && length < end &&
            n >= (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10)) {
            return (int)strtol(answer + 9, NULL, 10);
        }
    }
    return 0;
}

static int exchange(struct caller *caller, const char *body, char answer[ANSWER_BYTES])
{
    char request[512];
    const char *query = caller->writers->spec.query;
    const int n =
        snprintf(request, sizeof(request),
                 "POST /redis%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n%s",
                 !query ? "" : query, strlen(body), body);

    answer[0] = '\0';
    if (!dial(caller) || send(caller->fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
        return 0;
    }
    return receive(caller->fd, answer);
}

/* ---- one request over a forward ---- */

/* ["SET","k",1] as an inline command: words here hold neither blanks nor quotes. */
static int to_line(const char *body, char *line, size_t size)
{
    size_t n = 0;

    for (const char *c = body; *c != '\0' && n < size - 3; c++) {
        if (!strchr("[]\"", *c)) {
            line[n++] = *c == ',' ? ' ' : *c;
        }
    }
    line[n++] = '\r';
    line[n++] = '\n';
    return (int)n;
}

enum heard { HEARD, HEARD_END, HEARD_NOTHING };

/* One whole answer, a line or a string. */
static enum heard hear(int fd, char answer[ANSWER_BYTES])
{
    answer[0] = '\0';
    for (size_t n = 0; n < ANSWER_BYTES - 1;) {
        const ssize_t got = recv(fd, answer + n, ANSWER_BYTES - 1 - n, 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 && errno == EAGAIN ? HEARD_NOTHING : HEARD_END;
        }
        n += (size_t)got;
        answer[n] = '\0';
        const char *end = strstr(answer, "\r\n");
        const long more = answer[0] == '$' ? strtol(answer + 1, NULL, 10) + 2 : 0;
        if (end && n >= (size_t)(end + 2 - answer) + (size_t)(more > 1 ? more : 0)) {
            return HEARD;
        }
    }
    return HEARD_END;
}

static void hang_up(struct caller *caller)
{
    if (caller->fd >= 0) {
        (void)close(caller->fd);
    }
    caller->fd = -1;
}

static enum add note_answer(struct caller *caller, enum kind kind, const char *answer)
{
    struct tally *tally = &caller->tallies[kind];
    const int64_t at_ms = now_ms(),
                  gap_ms = caller->answered_ms == 0 ? 0 : at_ms - caller->answered_ms;

    caller->answered_ms = at_ms;
    tally->longest_ms = gap_ms > tally->longest_ms ? gap_ms : tally->longest_ms;
    tally->acknowledged++;
    atomic_fetch_add(kind == READ ? &caller->writers->read : &caller->writers->acknowledged, 1);
    if (kind == INCREMENT) {
        const long long number = strtoll(answer + 1, NULL, 10);

        caller->went_back += number <= caller->counted ? 1 : 0;
        caller->counted = number;
    }
    return ADD_ACKNOWLEDGED;
}

static enum add ask_over(struct caller *caller, enum kind kind, const char *body)
{
    char line[512], answer[ANSWER_BYTES] = "";
    struct tally *tally = &caller->tallies[kind];
    const int n = to_line(body, line, sizeof(line));
    enum heard heard;

    if (!dial(caller)) {
        note_odd(caller, "%s: nobody listens", body);
        tally->other++;
        nap_ms(1);
        return ADD_NOT_SENT;
    }
    heard =
        send(caller->fd, line, (size_t)n, MSG_NOSIGNAL) == n ? hear(caller->fd, answer) : HEARD_END;
    if (heard == HEARD && answer[0] != '-') {
        return note_answer(caller, kind, answer);
    }
    if (heard != HEARD) {
        *(heard == HEARD_END ? &tally->dropped : &tally->unknown) += 1;
        hang_up(caller);
        nap_ms(1);
        return ADD_UNKNOWN;
    }
    note_odd(caller, "%s: %s", body, answer);
    if (strncmp(answer, "-NOMASTER", 9) == 0 || strncmp(answer, "-NOTSENT", 8) == 0) {
        tally->not_sent++;
        hang_up(caller);
        return ADD_NOT_SENT;
    }
    tally->other++;
    return ADD_UNKNOWN;
}

/* ---- one request over HTTP, or over a forward ---- */

static enum add ask(struct caller *caller, enum kind kind, const char *body)
{
    if (caller->writers->spec.forward != 0) {
        return ask_over(caller, kind, body);
    }
    char answer[ANSWER_BYTES];
    struct tally *tally = &caller->tallies[kind];
    const int64_t asked_ms = now_ms();
    const int status = exchange(caller, body, answer);
    const int64_t took_ms = now_ms() - asked_ms;

    if (took_ms > tally->longest_ms) {
        tally->longest_ms = took_ms;
    }
    if (status == 200) {
        tally->acknowledged++;
        atomic_fetch_add(kind == READ ? &caller->writers->read : &caller->writers->acknowledged, 1);
        return ADD_ACKNOWLEDGED;
    }
    if (status == 504 && strstr(answer, "\"outcome\":\"unknown\"")) {
        tally->unknown++;
        return ADD_UNKNOWN;
    }
    if (status == 503 && strstr(answer, "\"outcome\":\"not_sent\"")) {
        tally->not_sent++;
        note_odd(caller, "%s: %s", body, answer);
        return ADD_NOT_SENT;
    }
    if (status != 0) {
        tally->other++;
    } else {
        tally->dropped++;
        hang_up(caller);
        nap_ms(20);
    }
    note_odd(caller, "%s, after %lld ms: status %d, %s", body, (long long)took_ms, status, answer);
    return ADD_UNKNOWN;
}

/* ---- the threads ---- */

static void add_one(struct caller *caller)
{
    char body[128];
    const size_t serial = caller->n_adds;

    if ((serial & (serial + 1)) == 0) { /* 0, 1, 3, 7: full */
        enum add *longer = realloc(caller->adds, (2 * serial + 1) * sizeof(*longer));

        if (!longer) {
            abort();
        }
        caller->adds = longer;
    }
    (void)snprintf(body, sizeof(body), "[\"SADD\",\"ids\",\"%zu-%zu\"]", caller->number, serial);
    caller->adds[serial] = ask(caller, ADD, body);
    caller->n_adds++;
}

static void *write_on(void *data)
{
    struct caller *caller = data;
    const struct writers *writers = caller->writers;

    for (size_t i = caller->number; !atomic_load(&writers->stop); i++) {
        char body[128];

        if (caller->reader) {
            (void)ask(caller, READ, i % 2 == 0 ? "[\"GET\",\"counter\"]" : "[\"SCARD\",\"ids\"]");
        } else if (i % 3 == 0) {
            (void)ask(caller, INCREMENT, "[\"INCR\",\"counter\"]");
        } else if (i % 3 == 1) {
            add_one(caller);
        } else {
            (void)snprintf(body, sizeof(body), "[\"SET\",\"last:%zu\",%zu]", caller->number, i);
            caller->tried_set = i;
            if (ask(caller, SET, body) == ADD_ACKNOWLEDGED) {
                caller->last_set = i;
            }
        }
        nap_ms(writers->spec.pace_ms);
    }
    return NULL;
}

static void join_all(struct writers *writers)
{
    atomic_store(&writers->stop, true);
    for (size_t i = 0; i < writers->n && !writers->stopped; i++) {
        (void)pthread_join(writers->callers[i].thread, NULL);
    }
    writers->stopped = true;
}

static void drop_writers(void *object)
{
    struct writers *writers = object;

    for (size_t i = 0; i < writers->n && !writers->stopped; i++) {
        (void)shutdown(writers->callers[i].fd, SHUT_RDWR); /* whatever it waits for */
    }
    join_all(writers);
    for (size_t i = 0; i < writers->n; i++) {
        if (writers->callers[i].fd >= 0) {
            (void)close(writers->callers[i].fd);
        }
        free(writers->callers[i].adds);
    }
    free(writers->callers);
    free(writers);
}

struct writers *writers_start(const struct writers_spec *spec)
{
    struct writers *writers = calloc(1, sizeof(*writers));

    cr_assert(writers);
    writers->spec = *spec;
    if (spec->writers == 0 && spec->readers == 0) {
        writers->spec.writers = 8;
        writers->spec.readers = 4;
    }
    writers->spec.pace_ms = spec->pace_ms == 0 ? 2 : spec->pace_ms;
    writers->to = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(spec->forward != 0 ? spec->forward : spec->daemon->port),
        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    writers->callers =
        calloc(writers->spec.writers + writers->spec.readers, sizeof(*writers->callers));
    cr_assert(writers->callers);
    (void)scene_keep(writers, drop_writers);
    for (; writers->n < writers->spec.writers + writers->spec.readers; writers->n++) {
        struct caller *caller = &writers->callers[writers->n];

        *caller = (struct caller){.writers = writers,
                                  .number = writers->n,
                                  .reader = writers->n >= writers->spec.writers,
                                  .fd = -1};
        cr_assert(pthread_create(&caller->thread, NULL, write_on, caller) == 0);
    }
    return writers;
}

/* ---- looking at it ---- */

static void sum_up(struct tally *into, const struct tally *one)
{
    into->acknowledged += one->acknowledged;
    into->unknown += one->unknown;
    into->not_sent += one->not_sent;
    into->other += one->other;
    into->dropped += one->dropped;
    if (one->longest_ms > into->longest_ms) {
        into->longest_ms = one->longest_ms;
    }
}

void writers_stop(struct writers *writers)
{
    join_all(writers);
    for (size_t i = 0; i < writers->n; i++) {
        for (size_t kind = 0; kind < KINDS; kind++) {
            sum_up(&writers->tallies[kind], &writers->callers[i].tallies[kind]);
        }
    }
}

size_t writers_acknowledged(struct writers *writers)
{
    return atomic_load(&writers->acknowledged);
}

size_t writers_read(struct writers *writers)
{
    return atomic_load(&writers->read);
}

void writers_wait(struct writers *writers, size_t more, int64_t bound_ms)
{
    const size_t written = writers_acknowledged(writers), read = writers_read(writers);

    WAIT_UNTIL(bound_ms,
               (writers->spec.writers == 0 || writers_acknowledged(writers) >= written + more) &&
                   (writers->spec.readers == 0 || writers_read(writers) >= read + more));
}

struct writers *writers_begin(const struct daemon *daemon)
{
    struct writers *writers = writers_start(&(struct writers_spec){.daemon = daemon});

    writers_go_on(writers);
    return writers;
}

struct writers *writers_begin_over(const struct daemon *daemon, uint16_t forward)
{
    struct writers *writers =
        writers_start(&(struct writers_spec){.daemon = daemon, .forward = forward});

    writers_go_on(writers);
    return writers;
}

void writers_go_on(struct writers *writers)
{
    writers_wait(writers, 300, 15000);
}

void writers_end(struct writers *writers)
{
    writers_go_on(writers);
    writers_stop(writers);
}

const struct tally *writers_increments(const struct writers *writers)
{
    return &writers->tallies[INCREMENT];
}

const struct tally *writers_adds(const struct writers *writers)
{
    return &writers->tallies[ADD];
}

const struct tally *writers_sets(const struct writers *writers)
{
    return &writers->tallies[SET];
}

const struct tally *writers_reads(const struct writers *writers)
{
    return &writers->tallies[READ];
}

/* Takes what is there out of `adds`, so that acknowledged ones that stay are the lost ones. */
static void find_adds(const struct writers *writers, const struct server *server,
                      struct remains *remains)
{
    const redisReply *members = redis_ask(server, "SMEMBERS ids");

    cr_assert(members && members->type == REDIS_REPLY_ARRAY, "SMEMBERS of %s", server->label);
    bool **there = scene_alloc(writers->n * sizeof(*there));
    for (size_t i = 0; i < writers->n; i++) {
        there[i] = scene_alloc((writers->callers[i].n_adds + 1) * sizeof(**there));
    }
    for (size_t i = 0; i < members->elements; i++) {
        char *end = NULL;
        const size_t number = strtoul(members->element[i]->str, &end, 10),
                     serial = strtoul(end + 1, NULL, 10);

        cr_assert(number < writers->n && serial < writers->callers[number].n_adds);
        there[number][serial] = true;
    }
    for (size_t i = 0; i < writers->n; i++) {
        for (size_t j = 0; j < writers->callers[i].n_adds; j++) {
            const enum add add = writers->callers[i].adds[j];

            remains->adds_lost += add == ADD_ACKNOWLEDGED && !there[i][j] ? 1 : 0;
            remains->adds_unaccounted += add == ADD_NOT_SENT && there[i][j] ? 1 : 0;
        }
    }
}

struct remains writers_remains(const struct writers *writers, const struct server *server)
{
    struct remains remains = {.counter = strtoll(redis_say(server, "GET counter"), NULL, 10)};

    find_adds(writers, server, &remains);
    for (size_t i = 0; i < writers->spec.writers; i++) {
        const struct caller *caller = &writers->callers[i];
        const size_t set = strtoull(redis_say(server, "GET last:%d", (int)i), NULL, 10);

        remains.sets_behind += set < caller->last_set ? 1 : 0;
        remains.sets_ahead += set > caller->tried_set ? 1 : 0;
        remains.counted_again += caller->went_back;
    }
    return remains;
}

static const char *first_odd(const struct writers *writers)
{
    for (size_t i = 0; i < writers->n; i++) {
        if (writers->callers[i].odd[0] != '\0') {
            return writers->callers[i].odd;
        }
    }
    return "";
}

/* May have run, or not. */
static size_t unknown_of(const struct tally *tally)
{
    return tally->unknown + tally->dropped;
}

void writers_check(struct writers *writers, const struct server *server, const char *what,
                   bool kept)
{
    struct tally writes = {0};

    for (size_t kind = 0; kind < READ; kind++) {
        sum_up(&writes, &writers->tallies[kind]);
    }
    const struct tally *increments = writers_increments(writers), *reads = writers_reads(writers);
    const struct remains remains = writers_remains(writers, server);
    (void)fprintf(
        stderr,
        "%s: %s: writes %zu acknowledged, %zu unknown, longest %lld ms; reads %zu, longest %lld ms; "
        "INCR %zu acknowledged + %zu unknown, counter %lld; SADD lost %zu\n",
        scene_test_name(), what, writes.acknowledged, unknown_of(&writes),
        (long long)writes.longest_ms, reads->acknowledged, (long long)reads->longest_ms,
        increments->acknowledged, unknown_of(increments), remains.counter, remains.adds_lost);
    if (writers->spec.forward != 0) { /* a connection that ends is what a failover looks like */
        cr_assert(writes.unknown == 0 && reads->unknown == 0, "nothing came of %zu writes",
                  writes.unknown);
    } else {
        cr_assert(writes.dropped == 0 && reads->dropped == 0, "connections dropped: %zu, %s",
                  writes.dropped, first_odd(writers));
        cr_assert(reads->unknown == 0, "reads: %s", first_odd(writers));
    }
    cr_assert(writes.other == 0 && writes.not_sent == 0, "writes: %s", first_odd(writers));
    cr_assert(reads->other == 0 && reads->not_sent == 0, "reads: %s", first_odd(writers));
    cr_assert(remains.counter <= (long long)(increments->acknowledged + unknown_of(increments)),
              "INCR ran twice: %lld", remains.counter);
    cr_assert_eq(remains.adds_unaccounted, 0);
    cr_assert_eq(remains.sets_ahead, 0);
    if (!kept) {
        return;
    }
    cr_assert(remains.counter >= (long long)increments->acknowledged, "INCRs lost: %lld",
              remains.counter);
    cr_assert_eq(remains.adds_lost, 0);
    cr_assert_eq(remains.sets_behind, 0);
    cr_assert_eq(remains.counted_again, 0);
}
