/* The three keys of a file, taken apart by whoever reads it. */
#pragma once

struct node;

struct toplevel {
        const struct node *broker; /* NULL where it says nothing; else a mapping */
        const struct node *defaults;
        const struct node *services;
};
