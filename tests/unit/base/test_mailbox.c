/*
 * The mailbox between real threads: order, nothing lost, nothing leaked, freed at the worst
 * moments.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bellwether/base/loop.h"
#include "bellwether/base/memory.h"

#define POSTERS 4
#define EACH 20000

struct numbered {
    struct message head;
    size_t poster;
    size_t number;
};

static atomic_size_t dropped;

static void drop(struct message *message)
{
    atomic_fetch_add(&dropped, 1);
    free(message);
}

static struct message *numbered_new(size_t poster, size_t number)
{
    struct numbered *message = mem_new(1, sizeof(*message));

    message->head.kind = 1;
    message->head.drop = drop;
    message->poster = poster;
    message->number = number;
    return &message->head;
}

struct receiver {
    struct loop *loop;
    struct mailbox *mailbox;
    size_t next[POSTERS];
    size_t got;
    size_t want;
    bool out_of_order;
};

static void deliver(void *data, struct message *message)
{
    struct receiver *receiver = data;
    struct numbered *numbered = (struct numbered *)message;

    receiver->out_of_order =
        receiver->out_of_order || numbered->number != receiver->next[numbered->poster];
    receiver->next[numbered->poster]++;
    message->drop(message);
    if (++receiver->got == receiver->want) {
        loop_stop(receiver->loop);
    }
}

static void *receive(void *data)
{
    struct receiver *receiver = data;

    loop_run(receiver->loop);
    return NULL;
}

struct poster {
    pthread_t thread;
    struct mailbox *mailbox;
    size_t number;
};

static void *post(void *data)
{
    struct poster *poster = data;

    for (size_t i = 0; i < EACH; i++) {
        mailbox_post(poster->mailbox, numbered_new(poster->number, i));
    }
    return NULL;
}

Test(base_mailbox, many_threads_post_in_order_and_nothing_is_lost, .timeout = 60)
{
    struct receiver receiver = {.loop = loop_new(), .want = POSTERS * EACH};
    struct poster posters[POSTERS];
    pthread_t thread;

    receiver.mailbox = mailbox_new(receiver.loop, deliver, &receiver);
    cr_assert_eq(pthread_create(&thread, NULL, receive, &receiver), 0);
    for (size_t i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.mailbox = receiver.mailbox, .number = i};
        cr_assert_eq(pthread_create(&posters[i].thread, NULL, post, &posters[i]), 0);
    }
    for (size_t i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
    }
    pthread_join(thread, NULL);
    cr_expect_eq(receiver.got, POSTERS * EACH);
    cr_expect_not(receiver.out_of_order);
    cr_expect_eq(atomic_load(&dropped), POSTERS * EACH);
    mailbox_free(receiver.mailbox);
    loop_free(receiver.loop);
}

/* Two loops that throw one message back and forth. */
struct player {
    struct loop *loop;
    struct mailbox *mailbox;
    struct mailbox *other;
    size_t left;
};

static void throw_back(void *data, struct message *message)
{
    struct player *player = data;

    mailbox_post(player->other, message);
    if (--player->left == 0) {
        loop_stop(player->loop);
    }
}

static void *play(void *data)
{
    struct player *player = data;

    loop_run(player->loop);
    return NULL;
}

Test(base_mailbox, ping_pong, .timeout = 60)
{
    struct player players[2] = {{.left = 5000}, {.left = 5000}};
    pthread_t thread;

    for (int i = 0; i < 2; i++) {
        players[i].loop = loop_new();
        players[i].mailbox = mailbox_new(players[i].loop, throw_back, &players[i]);
    }
    players[0].other = players[1].mailbox;
    players[1].other = players[0].mailbox;
    mailbox_post(players[0].mailbox, numbered_new(0, 0));
    cr_assert_eq(pthread_create(&thread, NULL, play, &players[1]), 0);
    loop_run(players[0].loop);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) {
        mailbox_free(players[i].mailbox);
        loop_free(players[i].loop);
    }
    cr_expect_eq(atomic_load(&dropped), 1, "the mailbox that died with the message dropped it");
}

static void free_at_first(void *data, struct message *message)
{
    struct receiver *receiver = data;

    receiver->got++;
    message->drop(message);
    mailbox_free(receiver->mailbox);
    loop_stop(receiver->loop);
}

Test(base_mailbox, freed_inside_its_delivery_drops_the_rest)
{
    struct receiver receiver = {.loop = loop_new()};

    receiver.mailbox = mailbox_new(receiver.loop, free_at_first, &receiver);
    for (size_t i = 0; i < 10; i++) {
        mailbox_post(receiver.mailbox, numbered_new(0, i));
    }
    loop_run(receiver.loop);
    loop_free(receiver.loop);
    cr_expect_eq(receiver.got, 1);
    cr_expect_eq(atomic_load(&dropped), 10);
}

Test(base_mailbox, freed_unread_drops_all)
{
    struct loop *loop = loop_new();
    struct mailbox *mailbox = mailbox_new(loop, deliver, NULL);

    mailbox_post(mailbox, numbered_new(0, 0));
    mailbox_post(mailbox, numbered_new(0, 1));
    mailbox_free(mailbox);
    mailbox_free(NULL);
    loop_free(loop);
    cr_expect_eq(atomic_load(&dropped), 2);
}

static void repost(void *data, struct message *message)
{
    struct receiver *receiver = data;

    if (++receiver->got == receiver->want) {
        message->drop(message);
        loop_stop(receiver->loop);
    } else {
        mailbox_post(receiver->mailbox, message);
    }
}

Test(base_mailbox, may_post_to_itself_while_it_delivers, .timeout = 30)
{
    struct receiver receiver = {.loop = loop_new(), .want = 100};

    receiver.mailbox = mailbox_new(receiver.loop, repost, &receiver);
    mailbox_post(receiver.mailbox, numbered_new(0, 0));
    loop_run(receiver.loop);
    cr_expect_eq(receiver.got, 100);
    mailbox_free(receiver.mailbox);
    loop_free(receiver.loop);
}
