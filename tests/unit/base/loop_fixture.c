#include "loop_fixture.h"

struct loop *loop;

void loop_set_up(void)
{
    loop = loop_new();
}

void loop_tear_down(void)
{
    loop_free(loop);
}

void loop_end_run(void *data)
{
    (void)data;
    loop_stop(loop);
}

struct loop_timer *loop_end_run_after(int64_t ms)
{
    struct loop_timer *timer = loop_timer_new(loop, loop_end_run, NULL);

    loop_timer_start(timer, ms);
    return timer;
}
