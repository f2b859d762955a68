/*
 * The ordered mailbox: the only path between threads.
 */
#include <pthread.h>
#include <stdlib.h>

#include "bellwether/base/memory.h"
#include "loop_internal.h"

struct mailbox {
    uv_async_t uv;
    pthread_mutex_t lock; /* guards `posted` */
    struct list posted;
    struct list taken; /* the loop's thread only: being delivered */
    void (*deliver)(void *data, struct message *message);
    void *data;
};

static struct message *take_first(struct list *messages)
{
    return LIST_OWNER(list_take_first(messages), struct message, link);
}

static void drop_all(struct list *messages)
{
    for (struct message *message; (message = take_first(messages));) {
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
    mailbox->posted = (struct list){0};
    pthread_mutex_unlock(&mailbox->lock);
    for (struct message *message; (message = take_first(&mailbox->taken));) {
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
    list_append(&mailbox->posted, &message->link);
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
    drop_all(&mailbox->taken);
    drop_all(&mailbox->posted);
    uv_close((uv_handle_t *)&mailbox->uv, on_mailbox_closed);
}
