/* Doubly linked lists through links in their members. */
#include "bellwether/base/list.h"

void list_insert_after(struct list *list, struct list_link *before, struct list_link *link)
{
    link->previous = before;
    link->next = before ? before->next : list->first;
    *(before ? &before->next : &list->first) = link;
    *(link->next ? &link->next->previous : &list->last) = link;
}

void list_append(struct list *list, struct list_link *link)
{
    list_insert_after(list, list->last, link);
}

void list_remove(struct list *list, struct list_link *link)
{
    *(link->previous ? &link->previous->next : &list->first) = link->next;
    *(link->next ? &link->next->previous : &list->last) = link->previous;
    *link = (struct list_link){0};
}

struct list_link *list_take_first(struct list *list)
{
    struct list_link *link = list->first;

    if (link) {
        list_remove(list, link);
    }
    return link;
}

bool list_holds(const struct list *list, const struct list_link *link)
{
    return link->previous || list->first == link;
}
