/*
 * One master's subscriptions: topics (a channel or a pattern, with those who listen to it), and the
 * connection on which they are subscribed to. That is an endpoint's, like those of commands, but
 * one of its own: a connection that is subscribed takes no commands.
 *
 * What is to be done is found out in one function, review(), at the end of a turn: whether the
 * connection leads where it should, which topics are still to be asked for, who may be told that
 * all of it is confirmed.
 *
 * SUBSCRIBE and UNSUBSCRIBE of one topic may be on their way at once; only the answer to the last
 * one counts. A topic stays until all are answered.
 */
#include "subscriptions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/budget.h"
#include "bellwether/base/clock.h"
#include "bellwether/base/memory.h"
#include "bellwether/base/names.h"
#include "pool_route.h"

enum {
    PING_MS = 1000, /* so exactly is known when a gap began */
    STALL_LOOK_MS = 100,
    TOPICS_MAX = 10000, /* of each kind */
};

struct topic {
    struct subscriptions *owner;
    struct list listening; /* of struct subscription */
    size_t in_flight;      /* answers to come */
    bool asked;            /* what was said last, on this connection, was to subscribe */
    bool confirmed;
    enum subscriber_kind kind;
    char name[];
};

struct topics {
    struct topic **rows; /* sorted by name */
    size_t n;
};

struct subscriptions {
    struct master_pool *master_pool;
    struct endpoint_owner owner;
    struct pool_endpoint *endpoint; /* of this generation; NULL: none is needed */
    struct pool_conn *pool_conn;    /* that is subscribed; NULL: none is ready */
    struct topics topics[SUBSCRIBER_KINDS];
    struct list subscribers, joining;
    struct loop_later review;
    struct loop_timer *deadline_timer, *ping_timer, *stall_timer;
    int64_t due_ms; /* the earliest deadline; 0: nobody joins */
    /* boot clock: since when it is connected, and the last sign of life */
    int64_t opened_ms, heard_ms;
    bool was_shown; /* the master is, or was, in a snapshot */
    char trouble[POOL_WORDS_SIZE];
};

static const struct subscriber_hooks *hooks_of(const struct subscriptions *all)
{
    return all->master_pool->pool->hooks.subscribers;
}

static int64_t timeout_of(const struct subscriptions *all)
{
    return all->master_pool->pool->config->command_timeout_ms;
}

static int64_t wall_of(int64_t boot_ms)
{
    return clock_wall_ms() - (clock_boot_ms() - boot_ms);
}

void subscriptions_review(struct subscriptions *subscriptions)
{
    if (subscriptions) {
        loop_later_queue(subscriptions->master_pool->pool->loop, &subscriptions->review);
    }
}

bool subscriptions_are_wanted(const struct subscriptions *subscriptions)
{
    return subscriptions && subscriptions->subscribers.first;
}

void subscriptions_look(const struct subscriptions *subscriptions, struct pool_view *out)
{
    if (!subscriptions) {
        return;
    }
    LIST_EACH(struct subscriber, subscriber, &subscriptions->subscribers, link) {
        out->subscribers++;
    }
    for (size_t kind = 0; kind < SUBSCRIBER_KINDS; kind++) {
        out->channels += subscriptions->topics[kind].n;
    }
}

/* ---- topics ---- */

static const char *name_at(const void *rows, size_t i)
{
    return ((struct topic *const *)rows)[i]->name;
}

static struct topic *find(const struct topics *topics, const char *name, size_t *place)
{
    bool found;

    *place = names_place(topics->rows, topics->n, name_at, name, &found);
    return found ? topics->rows[*place] : NULL;
}

static size_t count_new(const struct subscriptions *all, enum subscriber_kind kind,
                        const char *const *names, size_t n)
{
    size_t n_new = 0, place;

    for (size_t i = 0; i < n; i++) {
        n_new += !find(&all->topics[kind], names[i], &place);
    }
    return n_new;
}

static struct topic *topic_of(struct subscriptions *all, enum subscriber_kind kind,
                              const char *name)
{
    struct topics *topics = &all->topics[kind];
    size_t place, size = strlen(name) + 1;
    struct topic *topic = find(topics, name, &place);

    if (topic) {
        return topic;
    }
    topic = budget_new(1, sizeof(*topic) + size);
    topic->owner = all;
    topic->kind = kind;
    memcpy(topic->name, name, size);
    topics->rows = mem_resize(topics->rows, topics->n + 1, sizeof(struct topic *));
    memmove(topics->rows + place + 1, topics->rows + place,
            (topics->n - place) * sizeof(struct topic *));
    topics->rows[place] = topic;
    topics->n++;
    return topic;
}

/* Nobody listens, and no answer is to come. */
static void drop_if_unused(struct topic *topic)
{
    struct topics *topics = &topic->owner->topics[topic->kind];
    size_t place;

    if (topic->listening.first || topic->in_flight > 0) {
        return;
    }
    (void)find(topics, topic->name, &place);
    topics->n--;
    memmove(topics->rows + place, topics->rows + place + 1,
            (topics->n - place) * sizeof(struct topic *));
    budget_free(topic);
}

/* ---- subscribers ---- */

static void on_answer(void *data, const redisReply *reply, enum redis_fail why);

static void say(struct topic *topic, bool subscribe)
{
    static const char *const verbs[SUBSCRIBER_KINDS][2] = {{"UNSUBSCRIBE", "SUBSCRIBE"},
                                                           {"PUNSUBSCRIBE", "PSUBSCRIBE"}};

    topic->asked = subscribe;
    topic->in_flight++;
    redis_conn_listen(topic->owner->pool_conn->conn, on_answer, topic, timeout_of(topic->owner),
                      verbs[topic->kind][subscribe], topic->name);
}

static void leave_topic(struct subscription *subscription)
{
    struct topic *topic = subscription->topic;

    list_remove(&topic->listening, &subscription->link);
    if (topic->listening.first) {
        return;
    }
    topic->confirmed = false;
    if (topic->asked && topic->owner->pool_conn &&
        redis_conn_is_ready(topic->owner->pool_conn->conn)) {
        say(topic, false);
    }
    drop_if_unused(topic);
}

static void stop_joining(struct subscriber *subscriber)
{
    if (subscriber->state == SUBSCRIBER_JOINING) {
        list_remove(&subscriber->all->joining, &subscriber->joining);
    }
}

void pool_unsubscribe(struct subscriber *subscriber)
{
    struct subscriptions *all = subscriber->all;

    if (!all) {
        return;
    }
    stop_joining(subscriber);
    for (size_t i = 0; i < subscriber->n; i++) {
        leave_topic(&subscriber->subscriptions[i]);
    }
    list_remove(&all->subscribers, &subscriber->link);
    budget_free(subscriber->subscriptions);
    subscriber->subscriptions = NULL;
    subscriber->all = NULL;
    subscriber->state = SUBSCRIBER_OUT;
    subscriptions_review(all);
}

static void end(struct subscriber *subscriber, enum subscriber_end why, const char *words)
{
    const struct subscriber_hooks *hooks = hooks_of(subscriber->all);

    pool_unsubscribe(subscriber);
    hooks->ended(subscriber, why, words);
}

const char *subscriber_name(const struct subscriber *subscriber, size_t i)
{
    return subscriber->subscriptions[i].topic->name;
}

const struct address *subscriber_address(const struct subscriber *subscriber)
{
    return subscriber->all && subscriber->all->endpoint ? &subscriber->all->endpoint->address
                                                        : NULL;
}

/* ---- what Redis says ---- */

/* Whoever joins is told by review(), where there is a master. */
static void confirm(struct topic *topic)
{
    struct subscriptions *all = topic->owner;
    int64_t now_ms;

    topic->confirmed = true;
    LIST_EACH(struct subscription, subscription, &topic->listening, link) {
        struct subscriber *subscriber = subscription->subscriber;

        if (--subscriber->n_open == 0 && subscriber->state == SUBSCRIBER_INTERRUPTED) {
            subscriber->state = SUBSCRIBER_LISTENING;
            now_ms = clock_wall_ms();
            hooks_of(all)->resumed(subscriber, subscriber->since_ms,
                                   now_ms > subscriber->since_ms ? now_ms : subscriber->since_ms);
        }
    }
    subscriptions_review(all);
}

static void refuse(struct topic *topic, const char *words)
{
    topic->asked = false;
    while (topic->listening.first) {
        end(LIST_OWNER(topic->listening.first, struct subscription, link)->subscriber,
            SUBSCRIBER_REFUSED, words);
    }
}

/*
 * The old master may speak on after another was promoted: it is heard as what it was only as far as
 * the watcher has heard, and this thread has read that.
 */
static void hear(struct subscriptions *all)
{
    const struct pool *pool = all->master_pool->pool;
    int64_t heard_ms = snapshot_heard_ms(pool->snapshot, clock_boot_ms());

    if (!pool_is_behind(pool) && heard_ms > all->heard_ms) {
        all->heard_ms = heard_ms;
    }
}

static void on_answer(void *data, const redisReply *reply, enum redis_fail why)
{
    struct topic *topic = data;

    (void)why;
    if (reply) {
        hear(topic->owner);
        if (topic->in_flight == 1 && topic->asked && reply->type == REDIS_REPLY_ERROR) {
            refuse(topic, reply->str);
        } else if (topic->in_flight == 1 && topic->asked && !topic->confirmed) {
            confirm(topic);
        }
    }
    topic->in_flight--;
    drop_if_unused(topic);
}

static void on_push(void *data, const redisReply *push)
{
    struct subscriptions *all = data;
    enum subscriber_kind kind = push->elements == 4 ? SUBSCRIBER_PATTERNS : SUBSCRIBER_CHANNELS;
    const redisReply *name = push->element[1];
    const redisReply *channel = push->element[push->elements - 2];
    const redisReply *payload = push->element[push->elements - 1];
    const struct channel_message message = {
        .pattern = kind == SUBSCRIBER_PATTERNS ? name->str : NULL,
        .pattern_size = name->len,
        .channel = channel->str,
        .channel_size = channel->len,
        .payload = payload->str,
        .payload_size = payload->len,
    };
    const struct topic *topic;
    size_t place;

    hear(all);
    topic = strlen(name->str) == name->len ? find(&all->topics[kind], name->str, &place) : NULL;
    if (topic && topic->listening.first) {
        hooks_of(all)->message(&topic->listening, &message);
    }
}

static void on_pong(void *data, const redisReply *reply, enum redis_fail why)
{
    struct subscriptions *all = data;

    (void)why;
    if (reply) {
        hear(all);
    }
}

static void ping_later(struct subscriptions *all)
{
    int64_t configured_ms = all->master_pool->pool->config->ping_ms;

    loop_timer_start(all->ping_timer, configured_ms ? configured_ms : PING_MS);
}

/* A connection that is half open would say nothing for ever: its lateness closes it. */
static void ping(void *data)
{
    struct subscriptions *all = data;
    const char *argv[] = {"PING"};

    if (all->pool_conn) {
        redis_conn_command(all->pool_conn->conn, on_pong, all, timeout_of(all), 1, argv, NULL);
        ping_later(all);
    }
}

/* ---- the connection ---- */

/*
 * When the old master was heard last as what it was: what others publish from the moment on in
 * which the new one is promoted, the old one never hears.
 */
static int64_t gap_begins_ms(const struct subscriptions *all)
{
    const struct snapshot_master *shown = all->master_pool->shown;
    bool moves = shown && (shown->fence != FENCE_DOWN || all->owner.switches != shown->switches);

    return moves && shown->promoting_ms > all->opened_ms && shown->promoting_ms < all->heard_ms
               ? shown->promoting_ms
               : all->heard_ms;
}

static void interrupt(struct subscriptions *all)
{
    int64_t since_ms = wall_of(gap_begins_ms(all));

    all->pool_conn = NULL;
    for (size_t kind = 0; kind < SUBSCRIBER_KINDS; kind++) {
        for (size_t i = 0; i < all->topics[kind].n; i++) {
            struct topic *topic = all->topics[kind].rows[i];

            LIST_EACH(struct subscription, subscription, &topic->listening, link) {
                subscription->subscriber->n_open += topic->confirmed;
            }
            topic->asked = topic->confirmed = false;
        }
    }
    LIST_EACH(struct subscriber, subscriber, &all->subscribers, link) {
        if (subscriber->state == SUBSCRIBER_LISTENING) {
            subscriber->state = SUBSCRIBER_INTERRUPTED;
            subscriber->since_ms = since_ms;
            hooks_of(all)->interrupted(subscriber, since_ms);
        }
    }
}

/* It leads where it should not any more, or nobody listens. */
static void leave(struct subscriptions *all)
{
    struct pool_endpoint *endpoint = all->endpoint;

    interrupt(all);
    all->endpoint = NULL;
    if (endpoint) {
        endpoint_free(endpoint);
    }
}

static void on_ready(struct pool_conn *pool_conn)
{
    struct subscriptions *all = pool_conn->endpoint->owner->data;

    all->trouble[0] = '\0';
    all->opened_ms = all->heard_ms = clock_boot_ms();
    subscriptions_review(all);
}

static void wake(void *data)
{
    subscriptions_review(data);
}

static void on_lost(struct pool_endpoint *endpoint, bool was_ready, const char *words)
{
    struct subscriptions *all = endpoint->owner->data;
    char text[ADDRESS_TEXT_SIZE];

    (void)was_ready;
    endpoint_back_off(endpoint); /* a server that hangs up on a subscriber does so again */
    (void)snprintf(all->trouble, sizeof(all->trouble), "%s: %s",
                   address_format(&endpoint->address, text), words);
    interrupt(all);
    subscriptions_review(all);
}

static void on_suspect(void *data, enum suspicion what, const struct address *address)
{
    const struct subscriptions *all = data;
    const struct pool_hooks *hooks = &all->master_pool->pool->hooks;

    if (hooks->suspect) {
        hooks->suspect(hooks->data, what, all->master_pool->name, address);
    }
}

static const struct endpoint_hooks endpoint_hooks = {
    .ready = on_ready, .answered = wake, .lost = on_lost, .suspect = on_suspect, .push = on_push};

/* ---- what is to be done ---- */

static bool leads_elsewhere(const struct subscriptions *all)
{
    const struct snapshot_master *shown = all->master_pool->shown;

    return shown && shown->has_address &&
           (all->owner.switches != shown->switches ||
            !address_equal(&all->endpoint->address, &shown->address));
}

/* @return whether there is a connection to subscribe on. */
static bool connect_to_master(struct subscriptions *all)
{
    const struct snapshot_master *shown = all->master_pool->shown;

    if (!all->endpoint) {
        all->owner.switches = shown->switches;
        all->owner.deployment = shown->deployment;
        all->endpoint = endpoint_new(&all->owner, &shown->address, false);
    }
    if (!all->pool_conn) {
        all->pool_conn = endpoint_pool_conn(all->endpoint);
        ping_later(all);
    }
    return all->pool_conn != NULL;
}

static void ask_for_topics(struct subscriptions *all)
{
    for (size_t kind = 0; kind < SUBSCRIBER_KINDS; kind++) {
        for (size_t i = 0; i < all->topics[kind].n; i++) {
            struct topic *topic = all->topics[kind].rows[i];

            if (topic->listening.first && !topic->asked) {
                say(topic, true);
            }
        }
    }
}

static void confirm_joined(struct subscriptions *all)
{
    LIST_EACH_MAY_LEAVE(struct subscriber, subscriber, &all->joining, joining) {
        if (subscriber->n_open == 0) {
            stop_joining(subscriber);
            subscriber->state = SUBSCRIBER_LISTENING;
            hooks_of(all)->confirmed(subscriber);
        }
    }
}

static void end_all(struct subscriptions *all)
{
    while (all->subscribers.first) {
        end(LIST_OWNER(all->subscribers.first, struct subscriber, link), SUBSCRIBER_GONE,
            "NOMASTER the master is not watched any more");
    }
}

static void review(void *data)
{
    struct subscriptions *all = data;
    const struct master_pool *master_pool = all->master_pool;

    if (all->was_shown && !master_pool->shown) {
        end_all(all);
    }
    all->was_shown = master_pool->shown;
    if (all->endpoint && (!all->subscribers.first || leads_elsewhere(all))) {
        leave(all);
    }
    if (!all->subscribers.first) {
        master_pool_wake(all->master_pool); /* which may go now */
        return;
    }
    if (pool_is_stalled(master_pool->pool)) {
        loop_timer_start(all->stall_timer, STALL_LOOK_MS);
        return;
    }
    if (master_pool->serves && connect_to_master(all)) {
        ask_for_topics(all);
        confirm_joined(all);
    }
}

/* ---- in time ---- */

static void say_late(const struct subscriptions *all, char *out, size_t size)
{
    if (pool_route_has_no_master(all->master_pool, true, out, size)) {
        return;
    }
    if (all->pool_conn) {
        snprintf(out, size, "NOTSENT the server has not confirmed it within %" PRId64 " ms",
                 timeout_of(all));
    } else {
        snprintf(out, size, "NOTSENT no connection within %" PRId64 " ms%s%.120s", timeout_of(all),
                 all->trouble[0] != '\0' ? ": " : "", all->trouble);
    }
}

static void expect_by(struct subscriptions *all, int64_t deadline_ms)
{
    if (all->due_ms == 0 || deadline_ms < all->due_ms) {
        all->due_ms = deadline_ms;
        loop_timer_start(all->deadline_timer, deadline_ms - clock_boot_ms());
    }
}

static void expire(void *data)
{
    struct subscriptions *all = data;
    int64_t now_ms = clock_boot_ms();
    char words[RESULT_ERROR_SIZE];

    all->due_ms = 0;
    LIST_EACH_MAY_LEAVE(struct subscriber, subscriber, &all->joining, joining) {
        if (subscriber->deadline_ms <= now_ms) {
            say_late(all, words, sizeof(words));
            end(subscriber, SUBSCRIBER_LATE, words);
        } else {
            expect_by(all, subscriber->deadline_ms);
        }
    }
}

void subscriptions_drain(struct subscriptions *subscriptions)
{
    while (subscriptions && subscriptions->joining.first) {
        end(LIST_OWNER(subscriptions->joining.first, struct subscriber, joining), SUBSCRIBER_LATE,
            "NOTSENT the daemon is shutting down; nothing was subscribed to");
    }
}

/* ---- beginning ---- */

static struct subscriptions *subscriptions_of(struct master_pool *master_pool)
{
    struct subscriptions *all = master_pool->subscriptions;
    struct loop *loop = master_pool->pool->loop;

    if (all) {
        return all;
    }
    all = mem_new(1, sizeof(*all));
    all->master_pool = master_pool;
    all->owner = master_pool->owner;
    all->owner.hooks = &endpoint_hooks;
    all->owner.data = all;
    all->review = (struct loop_later){.run = review, .data = all};
    all->deadline_timer = loop_timer_new(loop, expire, all);
    all->ping_timer = loop_timer_new(loop, ping, all);
    all->stall_timer = loop_timer_new(loop, wake, all);
    master_pool->subscriptions = all;
    return all;
}

static void join(struct subscriber *subscriber, struct topic *topic)
{
    struct subscription *subscription = &subscriber->subscriptions[subscriber->n];

    for (size_t i = 0; i < subscriber->n; i++) {
        if (subscriber->subscriptions[i].topic == topic) {
            return;
        }
    }
    *subscription = (struct subscription){.subscriber = subscriber, .topic = topic};
    list_append(&topic->listening, &subscription->link);
    subscriber->n_open += !topic->confirmed;
    subscriber->n++;
}

const char *subscriptions_join(struct master_pool *master_pool, struct subscriber *subscriber,
                               enum subscriber_kind kind, const char *const *names, size_t n,
                               int64_t began_ms)
{
    struct subscriptions *all = subscriptions_of(master_pool);

    if (all->topics[kind].n + count_new(all, kind, names, n) > TOPICS_MAX) {
        return "NOTSENT as many channels or patterns are listened to as may; nothing was "
               "subscribed to";
    }
    *subscriber = (struct subscriber){.all = all,
                                      .kind = kind,
                                      .state = SUBSCRIBER_JOINING,
                                      .deadline_ms = began_ms + timeout_of(all)};
    subscriber->subscriptions = budget_new(n, sizeof(*subscriber->subscriptions));
    for (size_t i = 0; i < n; i++) {
        join(subscriber, topic_of(all, kind, names[i]));
    }
    list_append(&all->subscribers, &subscriber->link);
    list_append(&all->joining, &subscriber->joining);
    expect_by(all, subscriber->deadline_ms);
    subscriptions_review(all);
    return NULL;
}

void subscriptions_free(struct subscriptions *subscriptions)
{
    struct subscriptions *all = subscriptions;

    if (!all) {
        return;
    }
    leave(all);
    loop_later_cancel(all->master_pool->pool->loop, &all->review);
    loop_timer_free(all->deadline_timer);
    loop_timer_free(all->ping_timer);
    loop_timer_free(all->stall_timer);
    for (size_t kind = 0; kind < SUBSCRIBER_KINDS; kind++) {
        free(all->topics[kind].rows);
    }
    free(all);
}
