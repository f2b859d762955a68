/*
 * Command tables made of what servers say of their commands, and what is expected of their
 * verdicts.
 */
#ifndef BELLWETHER_TESTS_UNIT_COMMANDS_COMMAND_TABLE_FIXTURE_H
#define BELLWETHER_TESTS_UNIT_COMMANDS_COMMAND_TABLE_FIXTURE_H

#include "bellwether/commands/command_table.h"

#define DEFAULT \
    "+@all -@admin -@dangerous -@blocking -@pubsub -@transaction -@scripting -@connection +publish +ping +echo"

#define NO_SUCH "*1\r\n*-1\r\n"
#define INFO_OF(size_and_name, flags, categories) \
    "*1\r\n*7\r\n$" size_and_name "\r\n:-1\r\n" flags ":0\r\n:0\r\n:0\r\n" categories

/** The reply that those bytes are, all of them. */
redisReply *table_reply_of(const char *bytes, size_t size);
/** The reply that a real server gave. */
redisReply *table_recording(const char *name);
/**
 * The command table of those rules and of the reply to COMMAND, which is freed; NULL: it was not
 * told.
 */
struct command_table *table_make(const char *rules, redisReply *table);
/** Of what 7.0 answered. */
struct command_table *table_make_7_0(const char *rules);
/** Of what 6.2 answers. */
struct command_table *table_make_6_2(const char *rules);
struct command_facts table_look(const struct command_table *commands_table, const char *name,
                                const char *sub);
/** What the server says of COMMAND INFO `name`. */
void table_learn_at(struct command_table *commands_table, const char *name, const char *reply,
                    int64_t now_ms);
void table_learn(struct command_table *commands_table, const char *name, const char *reply);
/** The server has to be asked for `asked` before the command is judged. */
void expect_asked(const struct command_table *commands_table, const char *name, const char *asked);
/** The server knows no such command. */
void expect_unknown(const struct command_table *commands_table, const char *name);
void expect_allowed(const struct command_table *commands_table, const char *name, const char *sub);
/** @param rule how what refuses it begins. */
void expect_refused(const struct command_table *commands_table, const char *name, const char *sub,
                    const char *rule);

#endif
