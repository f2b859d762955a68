/*
 * The messages between the watcher and the workers, made and dropped. Whoever takes a message out
 * of its mailbox calls `drop`; so does a mailbox that dies with messages in it.
 */
#include "bellwether/topology/messages.h"

#include <stdio.h>
#include <stdlib.h>

#include "bellwether/base/memory.h"
#include "bellwether/topology/report.h"

static void drop_plain(struct message *self)
{
    free(self);
}

static void drop_snapshot(struct message *self)
{
    struct message_snapshot *message = (struct message_snapshot *)self;

    snapshot_unref(message->snapshot);
    free(message);
}

static void drop_status(struct message *self)
{
    struct message_status *message = (struct message_status *)self;

    status_report_free(message->report);
    free(message);
}

static void drop_fresh(struct message *self)
{
    struct message_fresh *message = (struct message_fresh *)(void *)self;

    free(message->detail);
    free(message);
}

static void head_init(struct message *head, enum message_kind kind,
                      void (*drop)(struct message *self))
{
    head->kind = (int)kind;
    head->drop = drop;
}

struct message *message_snapshot_new(struct snapshot *snapshot)
{
    struct message_snapshot *message = mem_new(1, sizeof(*message));

    head_init(&message->head, MESSAGE_SNAPSHOT, drop_snapshot);
    message->snapshot = snapshot_ref(snapshot);
    return &message->head;
}

struct message *message_fresh_new(uint64_t ticket, bool confirmed, enum reason reason,
                                  const char *detail)
{
    struct message_fresh *message = mem_new(1, sizeof(*message));

    head_init(&message->head, MESSAGE_FRESH, drop_fresh);
    message->ticket = ticket;
    message->confirmed = confirmed;
    message->reason = reason;
    message->detail = mem_strdup(detail ? detail : "");
    return &message->head;
}

struct message *message_ask_fresh_new(uint64_t ticket, struct mailbox *reply_to, const char *master)
{
    struct message_ask_fresh *message = mem_new(1, sizeof(*message));

    head_init(&message->head, MESSAGE_ASK_FRESH, drop_plain);
    message->ticket = ticket;
    message->reply_to = reply_to;
    snprintf(message->master, sizeof(message->master), "%s", master ? master : "");
    return &message->head;
}

struct message *message_event_new(const struct message_event *from)
{
    struct message_event *message = mem_new(1, sizeof(*message));

    *message = *from;
    head_init(&message->head, MESSAGE_EVENT, drop_plain);
    return &message->head;
}

struct message *message_ask_heard_new(struct mailbox *reply_to)
{
    struct message_ask_heard *message = mem_new(1, sizeof(*message));

    head_init(&message->head, MESSAGE_ASK_HEARD, drop_plain);
    message->reply_to = reply_to;
    return &message->head;
}

struct message *message_ask_status_new(uint64_t ticket, struct mailbox *reply_to)
{
    struct message_ask_status *message = mem_new(1, sizeof(*message));

    head_init(&message->head, MESSAGE_ASK_STATUS, drop_plain);
    message->ticket = ticket;
    message->reply_to = reply_to;
    return &message->head;
}

struct message *message_ask_lag_new(uint64_t ticket, struct mailbox *reply_to, const char *master)
{
    struct message_ask_lag *message = mem_new(1, sizeof(*message));

    head_init(&message->head, MESSAGE_ASK_LAG, drop_plain);
    message->ticket = ticket;
    message->reply_to = reply_to;
    snprintf(message->master, sizeof(message->master), "%s", master);
    return &message->head;
}

struct message *message_status_new(uint64_t ticket, struct status_report *report)
{
    struct message_status *message = mem_new(1, sizeof(*message));

    head_init(&message->head, MESSAGE_STATUS, drop_status);
    message->ticket = ticket;
    message->report = report;
    return &message->head;
}

struct message *message_suspect_new(enum suspicion what, const char *master,
                                    const struct address *address)
{
    struct message_suspect *message = mem_new(1, sizeof(*message));

    head_init(&message->head, MESSAGE_SUSPECT, drop_plain);
    message->what = what;
    snprintf(message->master, sizeof(message->master), "%s", master);
    message->address = *address;
    return &message->head;
}

struct message *message_plain_new(enum message_kind kind)
{
    struct message *message = mem_new(1, sizeof(*message));

    head_init(message, kind, drop_plain);
    return message;
}
