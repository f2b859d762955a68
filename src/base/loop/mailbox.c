/*
 * The ordered mailbox: the only path between threads.
 */
#include <pthread.h>
#include <stdlib.h>

#include "bellwether/base/memory.h"
#include "loop_internal.h"

struct queue {
    struct message *first;
    struct message *last;
};

struct mailbox {
    uv_async_t uv;
    pthread_mutex_t lock; /* guards `posted` */
    struct queue posted;
    struct queue taken; /* the loop's thread only: being delivered */
    void (*deliver)(void *data, struct message *message);
    void *data;
};

static void queue_push(struct queue *queue, struct message *message)
{
    message->next = NULL;
    if (!queue->last) {
        queue->first = message;
    } else {
        queue->last->next = message;
    }
    queue->last = message;
}

static struct message *queue_pop(struct queue *queue)
{
    struct message *message = queue->first;

    if (message) {
        queue->first = message->next;
        queue->last = !queue->first ? NULL : queue->last;
        message->next = NULL;
    }
    return message;
}

static void queue_drop(struct queue *queue)
{
    for (struct message *message; (message = queue_pop(queue));) {
        message->drop(message);
    }
}

/*
 * libuv joins wake-ups: one call may stand for many posts, so everything is taken. What is posted
 * meanwhile wakes again.
 */
static void on_post(uv_async_t *uv)
{
    struct mailbox *mailbox = uv->data;

    pthread_mutex_lock(&mailbox->lock);
    mailbox->taken = mailbox->posted;
    mailbox->posted = (struct queue){0};
    pthread_mutex_unlock(&mailbox->lock);
    for (struct message *message; (message = queue_pop(&mailbox->taken));) {
        mailbox->deliver(mailbox->data, message); /* may free the mailbox: that empties `taken` */
    }
}

struct mailbox *mailbox_new(struct loop *loop, void (*deliver)(void *data, struct message *message),
                            void *data)
{
    struct mailbox *mailbox = mem_new(1, sizeof(*mailbox));

    loop_must(uv_async_init(&loop->uv, &mailbox->uv, on_post), "uv_async_init");
    loop_must(-pthread_mutex_init(&mailbox->lock, NULL), "pthread_mutex_init");
    mailbox->uv.data = mailbox;
    mailbox->deliver = deliver;
    mailbox->data = data;
    return mailbox;
}

void mailbox_post(struct mailbox *mailbox, struct message *message)
{
    pthread_mutex_lock(&mailbox->lock);
    queue_push(&mailbox->posted, message);
    pthread_mutex_unlock(&mailbox->lock);
    loop_must(uv_async_send(&mailbox->uv), "uv_async_send");
}

static void on_mailbox_closed(uv_handle_t *handle)
{
    struct mailbox *mailbox = handle->data;

    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

void mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox) {
        return;
    }
    queue_drop(&mailbox->taken);
    queue_drop(&mailbox->posted);
    uv_close((uv_handle_t *)&mailbox->uv, on_mailbox_closed);
}
