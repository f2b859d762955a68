/*
 * Names and addresses: look-ups, each address of one, and a resolver that fails or takes its time.
 */
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "base/loop/resolve.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/redis/connection.h"
#include "connection_probe.h"
#include "redis/conn_state.h"
#include "redis/replies.h"
#include "redis/stream.h"

Test(redis_conn, connects_to_ipv6)
{
    static const struct peer_step steps[] = {GREET, END};
    struct fake_peer *peer = fake_peer_start("::1", steps);
    struct probe probe = {.close_in = IN_READY};

    if (!peer) {
        cr_skip_test("no ::1 here");
    }
    probe_init(&probe);
    probe_open(&probe, fake_peer_address(peer), 2000);
    cr_expect(address_equal(redis_conn_peer(probe.conn), fake_peer_address(peer)));
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, looks_names_up)
{
    static const struct peer_step steps[] = {GREET, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.close_in = IN_READY};
    struct address name = {.host = "localhost"};

    probe_init(&probe);
    name.port = fake_peer_address(peer)->port;
    probe_open(&probe, &name, 2000);
    cr_expect_not(address_is_set(redis_conn_peer(probe.conn)));
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1, "%s", probe.words);
    cr_expect_str_eq(redis_conn_peer(probe.conn)->host, "127.0.0.1");
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

Test(redis_conn, name_that_does_not_resolve)
{
    struct probe probe = {0};
    struct address name = {.host = UNRESOLVABLE, .port = 6379};

    probe_init(&probe);
    probe_open(&probe, &name, 5000);
    loop_run(probe.loop);
    probe_expect_end(&probe, REDIS_FAIL_RESOLVE, "no-such-host");
    probe_release(&probe);
}

/* The last good look-up serves while the resolver fails, and each of its addresses is tried. */
Test(redis_conn, last_good_lookup_is_used)
{
    static const struct peer_step steps[] = {GREET, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct probe probe = {.close_in = IN_READY};
    struct address name = {.host = UNRESOLVABLE, .port = 6379};

    probe_init(&probe);
    probe.conn->found = mem_new(3, sizeof(struct address));
    probe.conn->found[0] = fake_peer_dead_address();
    probe.conn->found[1] = (struct address){.host = "255.255.255.255", .port = 1};
    probe.conn->found[2] = *fake_peer_address(peer);
    probe.conn->n_found = 3;
    probe.conn->found_for = name;
    probe_open(&probe, &name, 5000);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1, "%s", probe.words);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

/* One address that is silent takes its share of the time only; if none is good a refusal does not
 * hide that another one merely took too long. */
Test(redis_conn, silent_address_costs_its_share)
{
    static const struct peer_step silent[] = {{PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, END};
    static const struct peer_step good[] = {GREET, END};
    struct fake_peer *first = fake_peer_start("127.0.0.1", silent),
                     *second = fake_peer_start("127.0.0.1", good);
    struct address name = {.host = UNRESOLVABLE, .port = 6379};
    struct probe probe = {.close_in = IN_READY};

    probe_init(&probe);
    probe.conn->found = mem_new(2, sizeof(struct address));
    probe.conn->found[0] = *fake_peer_address(first);
    probe.conn->found[1] = *fake_peer_address(second);
    probe.conn->n_found = 2;
    probe.conn->found_for = name;
    probe_open(&probe, &name, 4000);
    loop_run(probe.loop);
    cr_expect_eq(probe.n_ready, 1, "%s", probe.words);
    probe_release(&probe);
    cr_expect_null(fake_peer_join(first));
    cr_expect_null(fake_peer_join(second));
    fake_peer_free(first);
    fake_peer_free(second);
}

Test(redis_conn, timeout_outweighs_refusal)
{
    static const struct peer_step silent[] = {{PEER_ACCEPT, NULL}, {PEER_EXPECT, HELLO}, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", silent);
    struct address name = {.host = UNRESOLVABLE, .port = 6379};
    struct probe probe = {0};

    probe_init(&probe);
    probe.conn->found = mem_new(2, sizeof(struct address));
    probe.conn->found[0] = *fake_peer_address(peer);
    probe.conn->found[1] = fake_peer_dead_address();
    probe.conn->n_found = 2;
    probe.conn->found_for = name;
    probe_open(&probe, &name, 4000);
    loop_run(probe.loop);
    probe_expect_end(&probe, REDIS_FAIL_TIMEOUT, "HELLO");
    probe_release(&probe);
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}

/* ---- a resolver that takes its time ---- */

static sem_t resolver_goes_on;
static _Atomic bool resolver_hangs;

static int slow_resolver(const char *host, const char *service, const struct addrinfo *hints,
                         struct addrinfo **out)
{
    (void)host;
    while (atomic_load(&resolver_hangs) && sem_wait(&resolver_goes_on) != 0) {
    }
    return getaddrinfo("127.0.0.1", service, hints, out);
}

static void resolver_hang(bool hang)
{
    if (hang) {
        sem_init(&resolver_goes_on, 0, 0);
    }
    atomic_store(&resolver_hangs, hang);
    if (!hang) {
        sem_post(&resolver_goes_on);
    }
    resolve_use(slow_resolver);
}

static void resolver_settle(void)
{
    const struct timespec nap = {.tv_nsec = 1000000};

    while (resolve_is_busy()) {
        (void)nanosleep(&nap, NULL);
    }
}

/* What comes after the attempt has ended serves the next one, which would else never succeed. */
Test(redis_conn, a_look_up_that_comes_too_late_serves_the_next_attempt)
{
    static const struct peer_step steps[] = {GREET, END};
    struct fake_peer *peer = fake_peer_start("127.0.0.1", steps);
    struct address name = {.host = "late.test", .port = fake_peer_address(peer)->port};
    struct probe first = {0}, second = {.close_in = IN_READY};

    resolver_hang(true);
    probe_init(&first);
    probe_open(&first, &name, 100);
    loop_run(first.loop);
    probe_expect_end(&first, REDIS_FAIL_TIMEOUT, "did not answer in time");
    probe_release(&first);
    resolver_hang(false);
    resolver_settle();
    resolver_hang(true);
    /* another connection, and the resolver hangs again */
    probe_init(&second);
    probe_open(&second, &name, 10000);
    loop_run(second.loop);
    cr_expect_eq(second.n_ready, 1, "%s", second.words);
    cr_expect_lt(clock_boot_ms() - second.opened_ms, 8000,
                 "no long wait where an address is at hand");
    probe_release(&second);
    resolver_hang(false);
    resolver_settle();
    cr_expect_null(fake_peer_join(peer));
    fake_peer_free(peer);
}
