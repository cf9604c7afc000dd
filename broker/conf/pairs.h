/* The pairs of one mapping while it is being read: merge keys are carried out here, and keys given twice found. */
#pragma once

#include "conf/yaml.h"

struct pair_entry {
        struct node_pair pair;
        size_t rank; /* 0: written here; else the place of the mapping it was merged from */
        size_t order;
};

struct pairs {
        struct pair_entry *items;
        size_t count;
        size_t room;
        size_t added; /* ever */
};

#define PAIRS_NULL ((struct pairs){0})

void pairs_deinit(struct pairs *pairs);

/* Appends a pair as it was written. Returns 0 or -ENOMEM. */
int pairs_add(struct pairs *pairs, struct node_pair pair);

/* Replaces `<<` by the pairs it stands for, after the others: of pairs with one key the one written here stays, else
 * that of the first mapping merged. What is wrong with merges, and keys given twice, are added to DIAG with places in
 * FILE. Returns 0 or -ENOMEM. */
int pairs_finish(struct pairs *pairs, const char *file, struct diag *diag);
