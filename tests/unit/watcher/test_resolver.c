/* Names whose look-up takes long: whoever asks the name service is held until the test lets go. */
#include <criterion/criterion.h>
#include <semaphore.h>

#include "../base/own_clock.h"
#include "base/loop/resolve.h"
#include "bellwether/base/loop.h"
#include "watcher/resolver.h"

enum { PATIENCE_MS = 80 };

static struct loop *loop;
static struct resolver *resolver;
static struct loop_timer *bound;
static struct address name = {.host = "localhost", .port = 6379};
static int n_found;
static sem_t release;

static int held_resolver(const char *host, const char *service, const struct addrinfo *hints,
                         struct addrinfo **out)
{
    while (sem_wait(&release) != 0) {
    }
    return getaddrinfo(host, service, hints, out);
}

static void found(void *data)
{
    cr_expect_eq(data, &n_found);
    n_found++;
    loop_stop(loop);
}

static void time_is_up(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void run_for(int64_t ms)
{
    loop_timer_start(bound, ms);
    loop_run(loop);
    loop_timer_stop(bound);
}

static void start(void)
{
    sem_init(&release, 0, 0);
    loop = loop_new();
    bound = loop_timer_new(loop, time_is_up, NULL);
    resolver = resolver_new(loop, 0, PATIENCE_MS, found, &n_found);
}

static void stop(void)
{
    sem_post(&release); /* whoever failed before */
    resolver_free(resolver);
    loop_timer_free(bound);
    loop_free(loop);
    while (resolve_is_busy()) {
    }
    sem_destroy(&release);
}

static void hang_the_resolver(void)
{
    resolve_use(held_resolver);
}

TestSuite(watch_resolver, .init = start, .fini = stop, .timeout = 20);

Test(watch_resolver, an_ip_is_there_at_once)
{
    struct address ip = {.host = "10.0.0.1", .port = 1};
    struct endpoint out;

    cr_assert(resolver_get(resolver, &ip, &out));
    cr_expect(address_equal(&out.ip, &ip));
    cr_expect_eq(n_found, 0);
}

Test(watch_resolver, a_name_is_pending_until_it_is_found)
{
    struct endpoint out;

    cr_expect_not(resolver_get(resolver, &name, &out));
    run_for(5000);
    cr_expect_eq(n_found, 1);
    cr_assert(resolver_get(resolver, &name, &out));
    cr_expect(address_equal(&out.name, &name));
    cr_expect(address_is_ip(&out.ip));
    cr_expect_eq(out.ip.port, 6379);
}

Test(watch_resolver, a_name_that_takes_long_stands_for_itself)
{
    struct endpoint out = {.name = {.port = 7}};

    (void)own_clock_stop();
    hang_the_resolver();
    cr_assert_not(resolver_get(resolver, &name, &out));
    cr_expect_eq(out.name.port, 7, "untouched while it is pending");
    cr_expect_not(resolver_get(resolver, &name, &out), "asked again at once: pending still");
    own_clock_go(0);
    run_for(PATIENCE_MS + 20);
    cr_assert(resolver_get(resolver, &name, &out),
              "not in time, and nobody waits for it any longer");
    cr_expect(address_equal(&out.name, &name));
    cr_expect_not(address_is_set(&out.ip));
    cr_expect_eq(n_found, 0);

    sem_post(&release);
    run_for(5000);
    cr_expect_eq(n_found, 1, "it is said when it comes after all");
    cr_assert(resolver_get(resolver, &name, &out));
    cr_expect(address_is_ip(&out.ip));
}

Test(watch_resolver, freed_while_a_look_up_hangs)
{
    struct endpoint out;

    hang_the_resolver();
    cr_expect_not(resolver_get(resolver, &name, &out));
    resolver_free(resolver);
    resolver = NULL;
    sem_post(&release);
    run_for(50);
    cr_expect_eq(n_found, 0);
}
