/*
 * The commands and subcommands that a server has, as COMMAND tells, and those that rules name: what
 * command_table.c looks things up in.
 */
#ifndef BELLWETHER_COMMANDS_COMMAND_ENTRIES_H
#define BELLWETHER_COMMANDS_COMMAND_ENTRIES_H

#include <stdint.h>

#include "bellwether/base/buffer.h"
#include "bellwether/commands/batch.h"
#include "bellwether/commands/command_table.h"

struct command_entry {
    uint32_t name, sub; /* where they stand in the texts */
    uint32_t hash;
    bool known, read_only, script, blocking;
    bool has_subs;
    bool lists_subs; /* the table does, so one that it lacks is none */
    enum command_care care;
    const redisReply *categories; /* borrowed while the command table is made, then NULL */
    const char *never;            /* why no rule can allow it; NULL: `decided` */
    int decided;                  /* the rule that decides; -1: none does */
};

/* Zeroed before use. */
struct command_entries {
    struct command_entry *all;
    size_t n, room;
    struct buffer texts;
    uint32_t *slots; /* open addressing: an entry's number plus one, 0: free */
    size_t n_slots;  /* a power of two */
};

/* What a server says of a name that it is asked for. */
enum command_answer { COMMAND_ANSWER_UNKNOWN, COMMAND_ANSWER_UNTOLD, COMMAND_ANSWER_KNOWN };

const char *command_entry_name(const struct command_entries *entries,
                               const struct command_entry *entry);
const char *command_entry_sub(const struct command_entries *entries,
                              const struct command_entry *entry);
/** By the server's table, while that is there. */
bool command_entry_is_in(const struct command_entry *entry, const char *category);

/** @param sub  "": the command itself. @return NULL: there is none. Good until one is made. */
const struct command_entry *command_entries_find(const struct command_entries *entries,
                                                 const char *name, const char *sub);
/** The entry, made where there is none; good until the next one is made. */
struct command_entry *command_entries_take(struct command_entries *entries, const char *name,
                                           const char *sub);
/**
 * A subcommand that rules or the fixed list name: as its command, where the table says nothing of
 * it.
 */
void command_entries_take_below(struct command_entries *entries, const char *name, const char *sub);
/**
 * COMMAND's reply: all of it, or none, since half a table would let dangerous commands pass as
 * unknown ones. @return false: none.
 */
bool command_entries_read(struct command_entries *entries, const redisReply *table);
/** One command's entry in that. @return false: it is not of that shape. */
bool command_entries_read_one(struct command_entries *entries, const redisReply *reply);
/**
 * The reply to COMMAND INFO of one name.
 * @param name,info  the name that the table has it by, and its entry there; set where it is known.
 */
enum command_answer command_info_read(const redisReply *reply, char name[COMMAND_NAME_SIZE],
                                      const redisReply **info);
void command_entries_release(struct command_entries *entries);

#endif
