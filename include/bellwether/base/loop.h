/*
 * One thread's event loop: timers, descriptors, name look-ups, signals, and the ordered
 * mailbox that is the only path between threads. A thin cover over libuv, which nothing else
 * includes, so that closing handles asynchronously is done right once.
 *
 * Functions belong to the loop's own thread where they name no other. `x_free` takes NULL, may be
 * called inside any callback (the object's own too), and no callback comes after it.
 */
#ifndef BELLWETHER_BASE_LOOP_H
#define BELLWETHER_BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellwether/base/address.h"
#include "bellwether/base/list.h"

struct loop;
struct loop_timer;
struct loop_poll;
struct loop_lookup;
struct loop_signal;
struct mailbox;

/**
 * A new loop, ready to run on any one thread; owned by the caller. Out of descriptors, or where the
 * kernel has no room for the loop's own watch (fs.epoll.max_user_watches), the process ends: one
 * line in the log, exit code 1. Thread: main.
 */
struct loop *loop_new(void);
/** Free the loop after its objects, look-ups too; runs the loop until their handles are closed. */
void loop_free(struct loop *loop);
#define LOOP_SCRATCH_BYTES ((size_t)64 * 1024)
/**
 * Room to read into, too much for a thread's stack; borrowed until anybody else of the loop's
 * thread asks for it.
 */
char *loop_scratch(struct loop *loop);
/**
 * Whether a look-up that nobody waits for still hangs in the resolver: the process is then ended
 * with _exit(), since exit() would free what the look-up uses. Thread: any.
 */
bool loop_lookups_abandoned(void);
/** The version of libuv that runs. Thread: any. */
const char *loop_library_version(void);
/** Run until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/**
 * Call `turn` once in every turn, after callbacks ran and before the loop blocks. One per loop;
 * NULL: none.
 */
void loop_on_turn(struct loop *loop, void (*turn)(void *data), void *data);
/** Where the hook has run already in this turn, it runs once more before the loop blocks. */
void loop_turn_again(struct loop *loop);

/*
 * Something to be done once at the end of the present turn, before the loop_on_turn() hook: so that
 * what a turn writes leaves in one piece. Embedded in its owner, zeroed before use.
 */
struct loop_later {
    struct list_link link;
    void (*run)(void *data);
    void *data;
    bool queued;
};
/** Queue it; nothing when it is queued already. `run` and `data` are set by the owner. */
void loop_later_queue(struct loop *loop, struct loop_later *later);
/** Take it out; nothing when it is not queued. */
void loop_later_cancel(struct loop *loop, struct loop_later *later);

/* One-shot timers. */
struct loop_timer *loop_timer_new(struct loop *loop, void (*fire)(void *data), void *data);
/** (Re)arm; at least `delay_ms` from now (negative counts as 0). */
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms);
/**
 * The same, `from_ms` to `to_ms` from now: at a moment that other timers of the loop choose, too,
 * where their spans allow it, so that one turn serves many.
 */
void loop_timer_start_within(struct loop_timer *timer, int64_t from_ms, int64_t to_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_armed(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/*
 * Descriptors. The descriptor stays the caller's; free the poll before closing it. New is NULL
 * with errno where the kernel can't watch it (a plain file). Where the kernel has no room for one
 * more watch it is looked at every few milliseconds until there is.
 */
enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_END = 4 };
struct loop_poll *loop_poll_new(struct loop *loop, int fd, void (*ready)(void *data, int events),
                                void *data);
/**
 * What to wait for: a set of LOOP_READ, LOOP_WRITE; 0: nothing for now. On an error of the
 * descriptor all wanted events are reported. LOOP_END alone: whatever comes stays where it is, and
 * the owner is told when the peer has said its last, and once more when the descriptor is of no
 * more use: reset, or closed both ways.
 */
void loop_poll_want(struct loop_poll *poll, int events);
/**
 * From the next change of what is waited for on, while that is LOOP_READ alone: be told when
 * something comes, which costs the kernel less, and not for as long as it is there. Who does not
 * take all has to come back by itself. LOOP_END says that the peer has said its last: the end,
 * behind what is there, is not told again.
 */
void loop_poll_by_change(struct loop_poll *poll, bool by_change);
void loop_poll_free(struct loop_poll *poll);

/*
 * Name look-ups off the thread; however many ask for a name share one, and names that hang delay no
 * others. Those of one group take a quarter of the threads at most. An IP literal asks nobody.
 * `done` comes exactly once, never from inside loop_lookup_start(), with error 0 and `n` >= 1 IP
 * addresses (with the port that was asked for), or -BW_ERESOLVE and the resolver's words.
 * loop_lookup_free() before that cancels it; after `done` the caller still frees it (inside `done`
 * is fine).
 */
struct loop_lookup *loop_lookup_start(struct loop *loop, const struct address *name, unsigned group,
                                      void (*done)(void *data, int error,
                                                   const struct address *found, size_t n,
                                                   const char *words),
                                      void *data);
void loop_lookup_free(struct loop_lookup *lookup);
/**
 * What the name resolved to last, whoever in this process had asked. @return how many, with the
 * name's port; `out` is the caller's to free, NULL where there are none. Thread: any.
 */
size_t loop_lookup_last(const struct address *name, struct address **out);

struct loop_signal *loop_signal_new(struct loop *loop, int signum,
                                    void (*caught)(void *data, int signum), void *data);
void loop_signal_free(struct loop_signal *signal);

/* The first member of the poster's own struct. Messages are delivered in the order of posting. */
struct message {
    struct list_link link;
    int kind;
    /* frees it; called by its receiver, or by the mailbox that is freed before it was delivered */
    void (*drop)(struct message *self);
};

/**
 * @param deliver runs on the loop's thread for each message, which it then owns (calls
 * message->drop).
 */
struct mailbox *mailbox_new(struct loop *loop, void (*deliver)(void *data, struct message *message),
                            void *data);
/**
 * Take `message`. Thread: any. The mailbox must outlive its posters: free it after their threads
 * were joined.
 */
void mailbox_post(struct mailbox *mailbox, struct message *message);
void mailbox_free(struct mailbox *mailbox);

/** A uniformly random number in [0, bound); for jitter, not for secrets. Thread: any. */
uint32_t jitter_below(uint32_t bound);
/** For tests: from now on this thread's numbers are the same each time. @param seed not 0. */
void jitter_seed(uint64_t seed);

#endif
