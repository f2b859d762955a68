/*
 * Timers: never early, and those with a span meet in one turn where their spans allow it.
 */
#include "bellwether/base/memory.h"
#include "loop_internal.h"

struct loop_timer {
    uv_timer_t uv;
    void (*fire)(void *data);
    void *data;
    uint32_t phase; /* the loop's */
};

static void on_timer(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;

    timer->fire(timer->data);
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*fire)(void *data), void *data)
{
    struct loop_timer *timer = mem_new(1, sizeof(*timer));

    loop_must(uv_timer_init(&loop->uv, &timer->uv), "uv_timer_init");
    timer->uv.data = timer;
    timer->fire = fire;
    timer->data = data;
    timer->phase = loop->phase;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    loop_timer_start_within(timer, delay_ms, delay_ms);
}

/*
 * The moment from `from` to `to` that has most zero bits at its end: others with a span around it
 * choose it, too.
 */
static uint64_t meeting_point(uint64_t from, uint64_t to)
{
    uint64_t differ = (from - 1) ^ to, low = 1;

    while (differ >> 1 >= low) {
        low <<= 1;
    }
    return to & ~(low - 1);
}

void loop_timer_start_within(struct loop_timer *timer, int64_t from_ms, int64_t to_ms)
{
    uint64_t now;

    /*
     * libuv counts from the time at which the turn began, in whole milliseconds rounded down:
     * brought up to date, and one more, the delay is never shorter than asked.
     */
    uv_update_time(timer->uv.loop);
    now = uv_now(timer->uv.loop) + timer->phase;
    from_ms = from_ms > 0 ? from_ms + 1 : 0;
    to_ms = to_ms > 0 ? to_ms + 1 : 0;
    if (to_ms < from_ms) {
        to_ms = from_ms;
    }
    loop_must(uv_timer_start(&timer->uv, on_timer,
                             meeting_point(now + (uint64_t)from_ms, now + (uint64_t)to_ms) - now,
                             0),
              "uv_timer_start");
}

void loop_timer_stop(struct loop_timer *timer)
{
    (void)uv_timer_stop(&timer->uv);
}

bool loop_timer_armed(const struct loop_timer *timer)
{
    return uv_is_active((const uv_handle_t *)&timer->uv) != 0;
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer) {
        uv_close((uv_handle_t *)&timer->uv, loop_handle_closed);
    }
}
