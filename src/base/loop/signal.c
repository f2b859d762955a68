/*
 * Signals, as callbacks of the loop.
 */
#include "bellwether/base/memory.h"
#include "loop_internal.h"

struct loop_signal {
    uv_signal_t uv;
    void (*caught)(void *data, int signum);
    void *data;
};

static void on_signal(uv_signal_t *uv, int signum)
{
    struct loop_signal *signal = uv->data;

    signal->caught(signal->data, signum);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signum,
                                    void (*caught)(void *data, int signum), void *data)
{
    struct loop_signal *signal = mem_new(1, sizeof(*signal));

    loop_must(uv_signal_init(&loop->uv, &signal->uv), "uv_signal_init");
    signal->uv.data = signal;
    signal->caught = caught;
    signal->data = data;
    loop_must(uv_signal_start(&signal->uv, on_signal, signum), "uv_signal_start");
    return signal;
}

void loop_signal_free(struct loop_signal *signal)
{
    if (signal) {
        uv_close((uv_handle_t *)&signal->uv, loop_handle_closed);
    }
}
