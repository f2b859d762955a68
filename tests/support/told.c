/* Sentinels that say what a test wants. */
#include "told.h"

#include <stdarg.h>
#include <string.h>

#include "scene.h"

enum { FLAGS_MOST = 40 };

struct told *told_start(size_t n, uint16_t old, uint16_t now, const char *deny)
{
    static const char *const ids[TOLD_MOST] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                               "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                                               "cccccccccccccccccccccccccccccccccccccccc"};
    struct told *told = scene_alloc(sizeof(*told));

    *told = (struct told){.n = n, .old = old, .now = now};
    for (size_t i = 0; i < n; i++) {
        told->says[i] = (struct fake_words){.master_name = "mymaster",
                                            .master_host = "127.0.0.1",
                                            .master_port = text("%u", old),
                                            .replica_port = text("%u", now),
                                            .deny = deny,
                                            .others = told->others};
        memcpy(told->says[i].run_id, ids[i], sizeof(told->says[i].run_id));
        told->sentinels[i] = fake_start(FAKE_SENTINEL, &told->says[i]);
        told->others[i] = (struct fake_other){.run_id = ids[i],
                                              .port = text("%u", fake_port(told->sentinels[i]))};
    }
    for (size_t i = 0; i < n; i++) {
        told->says[i].n_others = n; /* it lists itself, too: nobody minds */
        fake_say(told->sentinels[i], &told->says[i]);
    }
    return told;
}

struct daemon *told_daemon(const struct told *told, ...)
{
    va_list arguments;

    va_start(arguments, told);
    const char **flags = daemon_flags(0, arguments);
    va_end(arguments);
    return told_launch(told, flags);
}

struct daemon *told_launch(const struct told *told, const char *const *more)
{
    const char *flags[FLAGS_MOST] = {"--master", "mymaster"};
    size_t n = 2;

    for (size_t i = 0; i < told->n; i++) {
        flags[n++] = "--sentinel";
        flags[n++] = fake_address(told->sentinels[i]);
    }
    for (size_t i = 0; more[i]; i++) {
        cr_assert_lt(n, FLAGS_MOST - 1, "too many flags");
        flags[n++] = more[i];
    }
    struct daemon *daemon = daemon_launch(&(struct daemon_spec){.flags = flags});
    WAIT_UNTIL(5000, status_of(daemon, "/master?require=majority") == 200);
    WAIT_UNTIL(15000,
               http_number(daemon_get(daemon, "/sentinels"), "agreeing") == (long long)told->n &&
                   strstr(daemon_get(daemon, "/replicas")->body, text(":%u\"", told->now)));
    for (size_t i = 0; i < told->n; i++) {
        WAIT_UNTIL(5000, fake_heard(told->sentinels[i], "PSUBSCRIBE") > 0);
    }
    return daemon;
}

void told_name(struct told *told, size_t sentinel, uint16_t master, uint16_t replica)
{
    struct fake_words *says = &told->says[sentinel];

    says->master_port = text("%u", master);
    says->replica_port = text("%u", replica);
    says->epoch++;
    fake_say(told->sentinels[sentinel], says);
}

void told_announce(struct told *told, size_t sentinel)
{
    told_name(told, sentinel, told->now, told->now);
}

void told_take_back(struct told *told, size_t sentinel)
{
    told->says[sentinel].epoch = -1;
    told_name(told, sentinel, told->old, told->now);
}

void told_lead(struct told *told, bool leads)
{
    told->says[0].flags = leads ? "master,failover_in_progress" : NULL;
    told->says[0].failover_state = leads ? "wait_promotion" : NULL;
    fake_say(told->sentinels[0], &told->says[0]);
}

void told_say(const struct told *told, const char *event)
{
    fake_publish(told->sentinels[0], event, text("master mymaster 127.0.0.1 %u", told->old));
}

static void say_of_chosen(const struct told *told, const char *event)
{
    fake_publish(told->sentinels[0], event,
                 text("slave 127.0.0.1:%u 127.0.0.1 %u @ mymaster 127.0.0.1 %u", told->now,
                      told->now, told->old));
}

void told_say_chosen(const struct told *told)
{
    say_of_chosen(told, "+selected-slave");
    say_of_chosen(told, "+failover-state-send-slaveof-noone");
}

void told_say_promoting(const struct told *told)
{
    say_of_chosen(told, "+failover-state-wait-promotion");
}
