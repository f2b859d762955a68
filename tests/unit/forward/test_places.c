/* How many there may be at once, whoever accepts them. */
#include <pthread.h>
#include <stdatomic.h>

#include "forward/forward_shared.h"
#include "forward_fixture.h"

TestSuite(forward_places, .timeout = 30);

enum { PLACES = 3, THREADS = 4, ROUNDS = 100000 };

struct crowd {
    struct forward_shared *shared;
    _Atomic unsigned inside, most;
};

static void *come_and_go(void *data)
{
    struct crowd *crowd = data;

    for (int i = 0; i < ROUNDS; i++) {
        if (!forward_take_place(crowd->shared)) {
            continue;
        }
        unsigned now = atomic_fetch_add(&crowd->inside, 1) + 1, most = atomic_load(&crowd->most);

        while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now)) {
        }
        atomic_fetch_sub(&crowd->inside, 1);
        forward_give_place(crowd->shared);
    }
    return NULL;
}

Test(forward_places, never_more_however_many_take_one_at_once)
{
    struct forward_stage stage = {.config = {.max_forwards = PLACES}};
    pthread_t threads[THREADS];

    forward_stage_open(&stage);
    struct crowd crowd = {.shared = stage.shared};
    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &crowd), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_expect(crowd.most > 0 && crowd.most <= PLACES, "%u", crowd.most);
    for (size_t i = 0; i < PLACES; i++) {
        cr_expect(forward_take_place(stage.shared), "all were given back");
    }
    cr_expect_not(forward_take_place(stage.shared));
    for (size_t i = 0; i < PLACES; i++) {
        forward_give_place(stage.shared);
    }
    forward_stage_close(&stage);
}
