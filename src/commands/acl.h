/* Rules, and what no rule can allow. */
#ifndef BELLWETHER_COMMANDS_ACL_H
#define BELLWETHER_COMMANDS_ACL_H

#include "bellwether/commands/batch.h"
#include "bellwether/commands/command_table.h"

#define COMMAND_NEVER_BLOCKS "never: it blocks the connection, which is shared"

enum rule_kind {
    RULE_ALL,      /* +@all, allcommands */
    RULE_CATEGORY, /* +@read: `name` is the category, without @ */
    RULE_COMMAND,  /* +get, +config|get */
};

struct rule {
    enum rule_kind kind;
    bool allow;
    char name[COMMAND_NAME_SIZE];            /* lower case */
    char sub[COMMAND_NAME_SIZE];             /* lower case; "" none */
    char written[2 * COMMAND_NAME_SIZE + 2]; /* as whoever wrote it did */
};

struct policy {
    struct rule *rules; /* the last one that fits decides */
    size_t n;
};

/**
 * Why no rule can allow it; NULL: rules decide. Static words.
 * @param name,sub  lower case; `sub` may be "".
 */
const char *command_never(const char *name, const char *sub);
/** Whether it blocks, as far as is known without a server's table. */
bool command_blocks(const char *name);
/** Whether it reads only, though no flag says so. */
bool command_reads_only(const char *name);
/** What of its arguments has to be looked at. */
enum command_care command_care_of(const char *name);
/**
 * All commands that command_never(), command_reads_only() and command_care_of() know, one by one.
 * @param i from 0. @return false: there are no more.
 */
bool command_noted(size_t i, const char **name, const char **sub);

#endif
