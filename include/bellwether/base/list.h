/*
 * A doubly linked list through links that stand in its members' own structs: nothing is allocated,
 * and a member leaves without a search. A list and a link are zeroed before use; the list owns
 * nothing.
 */
#ifndef BELLWETHER_BASE_LIST_H
#define BELLWETHER_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *next, *previous;
};

struct list {
    struct list_link *first, *last;
};

/** The struct of which `link` is that member; NULL for NULL. */
#define LIST_OWNER(link, type, member) ((type *)list_owner((link), offsetof(type, member)))

/* NOLINTBEGIN(bugprone-macro-parentheses): a type, a new name and a member can't stand in any. */
/** Each member in turn; it may not leave meanwhile. */
#define LIST_EACH(type, name, list, member) \
    for (type *name = LIST_OWNER((list)->first, type, member); name; \
         name = LIST_OWNER(name->member.next, type, member))
/** The same; the member at hand may leave, and no other one. */
#define LIST_EACH_MAY_LEAVE(type, name, list, member) \
    for (type *name = LIST_OWNER((list)->first, type, member), *name##_next; \
         name && ((name##_next = LIST_OWNER(name->member.next, type, member)) || true); \
         name = name##_next)
/* NOLINTEND(bugprone-macro-parentheses) */

/** Put `link`, which is in no list, at the end. */
void list_append(struct list *list, struct list_link *link);
/** The same, right behind `before`, which is in the list; NULL: at the beginning. */
void list_insert_after(struct list *list, struct list_link *before, struct list_link *link);
/** Take `link` out, which is in this list; it may be put into another one, or freed. */
void list_remove(struct list *list, struct list_link *link);
/** Take the first one out. @return NULL: there is none. */
struct list_link *list_take_first(struct list *list);
/** Whether `link` is in this list, provided that it is in no other one. */
bool list_holds(const struct list *list, const struct list_link *link);

static inline void *list_owner(struct list_link *link, size_t offset)
{
    return link ? (char *)link - offset : NULL;
}

#endif
