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
    struct news_snapshot *news = (struct news_snapshot *)self;

    snapshot_unref(news->snapshot);
    free(news);
}

static void drop_status(struct message *self)
{
    struct news_status *news = (struct news_status *)self;

    status_report_free(news->report);
    free(news);
}

static void drop_fresh(struct message *self)
{
    struct news_fresh *news = (struct news_fresh *)(void *)self;

    free(news->detail);
    free(news);
}

static void head_init(struct message *head, enum news_kind kind, void (*drop)(struct message *self))
{
    head->next = NULL;
    head->kind = (int)kind;
    head->drop = drop;
}

struct message *news_snapshot_new(struct snapshot *snapshot)
{
    struct news_snapshot *news = mem_new(1, sizeof(*news));

    head_init(&news->head, NEWS_SNAPSHOT, drop_snapshot);
    news->snapshot = snapshot_ref(snapshot);
    return &news->head;
}

struct message *news_fresh_new(uint64_t ticket, bool confirmed, enum reason reason,
                               const char *detail)
{
    struct news_fresh *news = mem_new(1, sizeof(*news));

    head_init(&news->head, NEWS_FRESH, drop_fresh);
    news->ticket = ticket;
    news->confirmed = confirmed;
    news->reason = reason;
    news->detail = mem_strdup(detail ? detail : "");
    return &news->head;
}

struct message *news_ask_fresh_new(uint64_t ticket, struct mailbox *reply_to, const char *master)
{
    struct news_ask_fresh *news = mem_new(1, sizeof(*news));

    head_init(&news->head, NEWS_ASK_FRESH, drop_plain);
    news->ticket = ticket;
    news->reply_to = reply_to;
    snprintf(news->master, sizeof(news->master), "%s", master ? master : "");
    return &news->head;
}

struct message *news_event_new(const struct news_event *from)
{
    struct news_event *news = mem_new(1, sizeof(*news));

    *news = *from;
    head_init(&news->head, NEWS_EVENT, drop_plain);
    return &news->head;
}

struct message *news_ask_status_new(uint64_t ticket, struct mailbox *reply_to)
{
    struct news_ask_status *news = mem_new(1, sizeof(*news));

    head_init(&news->head, NEWS_ASK_STATUS, drop_plain);
    news->ticket = ticket;
    news->reply_to = reply_to;
    return &news->head;
}

struct message *news_ask_lag_new(uint64_t ticket, struct mailbox *reply_to, const char *master)
{
    struct news_ask_lag *news = mem_new(1, sizeof(*news));

    head_init(&news->head, NEWS_ASK_LAG, drop_plain);
    news->ticket = ticket;
    news->reply_to = reply_to;
    snprintf(news->master, sizeof(news->master), "%s", master);
    return &news->head;
}

struct message *news_status_new(uint64_t ticket, struct status_report *report)
{
    struct news_status *news = mem_new(1, sizeof(*news));

    head_init(&news->head, NEWS_STATUS, drop_status);
    news->ticket = ticket;
    news->report = report;
    return &news->head;
}

struct message *news_suspect_new(enum suspicion what, const char *master,
                                 const struct address *address)
{
    struct news_suspect *news = mem_new(1, sizeof(*news));

    head_init(&news->head, NEWS_SUSPECT, drop_plain);
    news->what = what;
    snprintf(news->master, sizeof(news->master), "%s", master);
    news->address = *address;
    return &news->head;
}

struct message *news_plain_new(enum news_kind kind)
{
    struct message *message = mem_new(1, sizeof(*message));

    head_init(message, kind, drop_plain);
    return message;
}
