/* Intrusive doubly linked list: a head and its links have one type; an empty head points at itself. A link that is
 * in no list points at itself too, so that removing it again does no harm. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>

struct list {
        struct list *next;
        struct list *prev;
};

static inline void list_init(struct list *list) {
        list->next = list->prev = list;
}

static inline bool list_is_empty(const struct list *list) {
        return list->next == list;
}

static inline void list_append(struct list *head, struct list *link) {
        link->prev = head->prev;
        link->next = head;
        head->prev->next = link;
        head->prev = link;
}

static inline void list_remove(struct list *link) {
        link->prev->next = link->next;
        link->next->prev = link->prev;
        list_init(link);
}

#define list_entry(link, type, member) container_of(link, type, member)

#define list_first(head, type, member) (list_is_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_last(head, type, member) (list_is_empty(head) ? NULL : list_entry((head)->prev, type, member))

/* The body may remove or free the entry it was given, and no other. */
#define list_for_each(entry, head, member)                                                                             \
        for (struct list *at_ = (head)->next, *next_ = at_->next;                                                      \
             at_ != (head) && ((entry) = list_entry(at_, __typeof__(*(entry)), member), 1);                            \
             at_ = next_, next_ = at_->next)
