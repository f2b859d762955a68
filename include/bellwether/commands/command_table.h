/*
 * Which commands there are, by the server's own COMMAND, and which of them callers may run.
 *
 *   policy         rules in the language of Redis ACLs, parsed once
 *   command table  the server's table with each command's verdict under the policy worked out, so
 *                 that a request costs one look-up. Without a table (an ACL denies COMMAND) every
 *                 command counts as a write, nothing is known of scripts, and a rule that names a
 *                 category refuses, whatever its sign.
 *
 * Fixed in the code is only what no flag says: see acl.c.
 */
#ifndef BELLWETHER_COMMANDS_COMMAND_TABLE_H
#define BELLWETHER_COMMANDS_COMMAND_TABLE_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_DEFAULT \
    "+@all -@admin -@dangerous -@blocking -@pubsub -@transaction -@scripting -@connection +publish +ping " \
    "+echo"

struct policy;
struct command_table;

/**
 * @param rules  "+@all -@admin +publish -config|set allcommands nocommands …", separated by blanks.
 *               A later rule wins. `default` may stand first: POLICY_DEFAULT's rules, then those
 *               that follow.
 * @return NULL with words in `error` that name the rule and what it takes: no sign, an empty name,
 *         keys, channels, passwords and selectors (they are no command rules), a rule that would
 *         allow what can never be allowed by its name, a category that no server has, a name that
 *         is a slip of the pen away from one that servers have.
 * Thread: any.
 */
struct policy *policy_parse(const char *rules, char *error, size_t error_size);
struct policy *policy_copy(const struct policy *policy);
/** Whether some rule may let scripts or functions run; the rules do not hold within those. */
bool policy_allows_scripts(const struct policy *policy);
void policy_free(struct policy *policy);

/* What of a command's arguments has to be looked at before it may run. */
enum command_care {
    COMMAND_CARE_NONE,
    COMMAND_CARE_CHANNEL, /* PUBLISH and SPUBLISH: Sentinels' own channels are theirs */
    COMMAND_CARE_BLOCK,   /* XREAD and XREADGROUP: not with BLOCK */
    COMMAND_CARE_STREAM,  /* SUBSCRIBE and PSUBSCRIBE: as a stream of their own or not at all */
    /* nothing forbids them; their cursor belongs to a server (redis/cursor.h) */
    COMMAND_CARE_CURSOR,        /* SCAN: the first argument */
    COMMAND_CARE_CURSOR_OF_KEY, /* SSCAN, HSCAN, ZSCAN: the second one */
};

struct command_facts {
    bool known;     /* in the server's table */
    bool unknown;   /* the server was asked, and has no such command: it is not sent */
    bool read_only; /* by its flags; PING, ECHO and TIME, SUBSCRIBE and PSUBSCRIBE as well */
    /*
     * may say anything in an error's words: EVAL, FCALL and kin by their category; true where
     * unknown
     */
    bool script;
    bool allowed;
    /*
     * Where it is not, what refuses it; borrowed from the command table. "-@dangerous": the rule as
     * it was written; "no rule allows it"; "never: it blocks the connection, which is shared"; of a
     * category without the server's table "-@dangerous: it refuses as long as ..."; of all commands
     * "-flushal: it names no command that this server has ...".
     */
    const char *rule;
    enum command_care care;
    /*
     * Not NULL: ask the server for this name with COMMAND INFO, give command_table_learn() what it
     * says, and look again; nothing else counts. Borrowed from the command table, or `name`.
     */
    const char *ask;
};

/**
 * @param table  borrowed: COMMAND's reply (RESP2 or 3, Redis 6.2 to 8, Valkey); NULL or an error
 * reply: there is none.
 */
struct command_table *command_table_new(const struct policy *policy, const redisReply *table);
/** Whether the server's table was there. */
bool command_table_has_table(const struct command_table *commands_table);
/**
 * The first rule whose category no command of the table has, perhaps a slip of the pen; NULL: none.
 * Borrowed.
 */
const char *command_table_idle_rule(const struct command_table *commands_table);
/**
 * @param name,sub  lower case, as in struct command; `sub` counts where the server's table (or a
 *                  rule) has it below `name`. An empty name (too long, or with a NUL) is never
 *                  allowed.
 */
void command_table_look(const struct command_table *commands_table, const char *name,
                        const char *sub, struct command_facts *out);
/**
 * What the server says of a name that its table lacks.
 * @param reply  borrowed: of COMMAND INFO with that one name; an error: the server does not tell.
 */
void command_table_learn(struct command_table *commands_table, const char *name,
                         const redisReply *reply, int64_t now_ms);
/** That there is no such command was true a while ago: it is asked for again. */
void command_table_forget(struct command_table *commands_table, int64_t now_ms);
/**
 * Why nothing at all runs: a rule denies what the server does not have. NULL: that is not so, as
 * far as is known. Borrowed.
 */
const char *command_table_closed(const struct command_table *commands_table);
/**
 * @param wire  RESP as struct batch has it. @param n its arguments, the name included.
 * @return why it can't run with these arguments, static; NULL: it can.
 */
const char *command_arguments_refused(enum command_care care, const char *wire, size_t n);
void command_table_free(struct command_table *commands_table);

#endif
