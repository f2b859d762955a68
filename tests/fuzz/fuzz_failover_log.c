/*
 * Bytes as a program of failover log calls: two masters, four Sentinels, three nodes. Whatever is
 * told in whatever order, the invariant of tests/sim/failover_log_invariant.h holds after each
 * call, deadlines end, and what was shared stays as it was.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../sim/failover_log_invariant.h"

#define MASTERS 2
#define WALL_MS INT64_C(1795348800000)

struct program {
    const uint8_t *data;
    size_t size;
    struct failover_log *failover_log;
    struct failover_log_invariant invariant;
    unsigned long moves; /* the answer's, and the first ones */
    struct failover_record *masters[MASTERS];
    struct address published[MASTERS];
    bool has_published[MASTERS];
    int64_t now_ms;
    struct failovers *kept; /* a list that a worker still holds */
    enum failover_outcome kept_outcome;
};

static uint8_t next(struct program *p)
{
    if (p->size == 0) {
        return 0;
    }
    p->size--;
    return *p->data++;
}

static void broken(const struct program *p, const char *what)
{
    fprintf(stderr, "at %lld ms: %s %s\n", (long long)p->now_ms, what, p->invariant.broken);
    abort();
}

static struct failover_log_time at(const struct program *p)
{
    return (struct failover_log_time){p->now_ms, WALL_MS + p->now_ms};
}

static struct address node(uint8_t n)
{
    return (struct address){.host = "10.0.0.1", .port = (uint16_t)(1 + n % 3)};
}

static void hear(struct program *p)
{
    static const char *const sentinels[] = {"s:1", "s:2", "s:3", "s:4"};
    uint8_t what = next(p), who = next(p), whose = next(p);
    struct address about = node(who >> 2), of = node(whose);
    struct failover_log_event event = {
        .signal = (enum failover_log_signal)(what % FAILOVER_SIGNAL_SIGNALS_COUNT),
        .master = p->masters[who & 1],
        .deployment = (who & 1),
        .sentinel = sentinels[who >> 4 & 3],
        .of = whose & 128 ? NULL : &of,
        .about = who & 128 ? NULL : &about,
        .epoch = what >> 5,
        .failover_timeout_ms = who & 64 ? 3000 : -1};

    failover_log_hear(p->failover_log, &event, at(p));
}

static void publish(struct program *p)
{
    uint8_t what = next(p), i = what & 1;
    struct address from = p->published[i], to = node(what >> 1);

    p->moves += !p->has_published[i] || !address_equal(&from, &to);
    failover_log_published(p->masters[i], p->has_published[i] ? &from : NULL, &to,
                           (what >> 3 & 3) - 1, (what & 32) != 0, (what & 64) != 0, at(p));
    p->published[i] = to;
    p->has_published[i] = true;
}

static void state(struct program *p)
{
    uint8_t what = next(p), i = what & 1;

    failover_log_state(p->masters[i], p->has_published[i] ? &p->published[i] : NULL,
                       (enum master_state)((what >> 1) % MASTER_STATES_COUNT), at(p));
}

static void forget(struct program *p)
{
    uint8_t i = next(p) & 1;

    failover_log_forget(p->masters[i], at(p));
    p->masters[i] = failover_log_watch(p->failover_log, i ? "other" : "mymaster", i);
    p->has_published[i] = false;
}

static void keep(struct program *p)
{
    if (p->kept && p->kept->n > 0 && p->kept->entries[0]->outcome != p->kept_outcome) {
        broken(p, "what was shared has changed");
    }
    failovers_unref(p->kept);
    p->kept = failover_log_list(p->failover_log);
    p->kept_outcome = p->kept->n > 0 ? p->kept->entries[0]->outcome : FAILOVER_RUNNING;
}

static void check(struct program *p)
{
    if (!failover_log_holds(&p->invariant, p->failover_log, p->now_ms + 1)) {
        broken(p, "");
    }
    if (p->invariant.n_switched + p->invariant.n_abandoned > p->moves) {
        broken(p, "more failovers than moves");
    }
}

/* Each deadline is met once and then gone. */
static void pass(struct program *p, int64_t ms)
{
    int64_t end_ms = p->now_ms + ms, next_ms, rounds = 0;

    while ((next_ms = failover_log_next_ms(p->failover_log)) >= 0 && next_ms <= end_ms) {
        if (++rounds > 8) {
            broken(p, "a busy loop");
        }
        p->now_ms = next_ms > p->now_ms ? next_ms : p->now_ms;
        (void)failover_log_tick(p->failover_log, at(p));
        check(p);
    }
    p->now_ms = end_ms;
}

static void run(struct program *p)
{
    uint8_t opcode = next(p);

    switch (opcode & 7) {
    case 0:
    case 1:
    case 2: hear(p); break;
    case 3: publish(p); break;
    case 4: state(p); break;
    case 5:
        failover_log_checked(p->masters[opcode >> 3 & 1],
                             (enum failover_log_check)((opcode >> 4) % 3), at(p));
        break;
    case 6: pass(p, (opcode >> 3) * (int64_t)next(p) * 10); break;
    default:
        if (opcode & 128) {
            forget(p);
        } else {
            keep(p);
        }
        break;
    }
    check(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct program p = {.data = data, .size = size, .now_ms = 1000};

    p.invariant.capacity = 1 + next(&p) % 5;
    p.failover_log = failover_log_new(p.invariant.capacity);
    for (size_t i = 0; i < MASTERS; i++) {
        p.masters[i] = failover_log_watch(p.failover_log, i ? "other" : "mymaster", i);
    }
    while (p.size > 0) {
        run(&p);
    }
    failovers_unref(p.kept);
    failover_log_free(p.failover_log);
    return 0;
}
