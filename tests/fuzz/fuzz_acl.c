/*
 * Rules and what they say of commands. The input's first line are the rules, the second a COMMAND
 * reply as a server would send it (empty: the small one below; `-`: none), the rest words that are
 * looked up in pairs. Held: a refusal has words of one line, a verdict has a rule exactly where it
 * refuses, what can never be allowed is not, and a name that no rule and no table knows has the
 * verdict of all such names.
 */
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/commands/batch.h"
#include "bellwether/commands/command_table.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const char small[] =
    "*4\r\n"
    "*7\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@read\r\n"
    "*7\r\n$3\r\nset\r\n:-3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@write\r\n"
    "*7\r\n$5\r\nblpop\r\n:-3\r\n*1\r\n+blocking\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@blocking\r\n"
    "*10\r\n$6\r\nconfig\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@slow\r\n*0\r\n*0\r\n"
    "*1\r\n*10\r\n$10\r\nconfig|get\r\n:-3\r\n*1\r\n+admin\r\n:0\r\n:0\r\n:0\r\n"
    "*1\r\n+@dangerous\r\n*0\r\n*0\r\n*0\r\n";

static void hold(bool what)
{
    if (!what) {
        abort();
    }
}

/* Cuts the next line off; terminated. */
static char *next_line(char **at)
{
    char *line = *at;
    char *end = strchr(line, '\n');

    *at = !end ? line + strlen(line) : end + 1;
    if (end) {
        *end = '\0';
    }
    return line;
}

static redisReply *read_table(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    hold(reader != NULL);
    reader->maxelements = 1024; /* hiredis makes room for as many as are announced */
    redisReaderFeed(reader, bytes, strlen(bytes));
    if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
        reply = NULL;
    }
    redisReaderFree(reader);
    return reply;
}

/* The line has no line ends of its own: `;` stands for one. */
static redisReply *read_line_table(char *line)
{
    size_t size = strlen(line);
    char *bytes = malloc(2 * size + 1);
    size_t used = 0;

    hold(bytes != NULL);
    for (size_t i = 0; i < size; i++) {
        if (line[i] == ';') {
            bytes[used++] = '\r';
        }
        bytes[used++] = line[i] == ';' ? '\n' : line[i];
    }
    bytes[used] = '\0';
    redisReply *reply = read_table(bytes);
    free(bytes);
    return reply;
}

static struct command_facts look(const struct command_table *book, const char *name,
                                 const char *sub)
{
    struct command_facts facts;

    command_table_look(book, name, sub, &facts);
    hold(facts.allowed == (!facts.rule));
    hold(facts.allowed || facts.rule[0] != '\0');
    return facts;
}

/* What is asked for is told, one time that there is no such command, another that it is GET. */
static void answer(struct command_table *book, const char *name, const char *sub, bool exists)
{
    struct command_facts facts = look(book, name, sub);
    redisReply *reply = read_table(
        exists
            ? "*1\r\n*7\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@read\r\n"
            : "*1\r\n*-1\r\n");
    char asked[COMMAND_NAME_SIZE] = "";

    if (facts.ask) {
        hold(command_table_has_table(book) && strlen(facts.ask) < sizeof(asked));
        strcpy(asked, facts.ask);
        command_table_learn(book, asked, reply, 1);
        facts = look(book, name, sub);
        hold(!facts.ask || strcmp(facts.ask, asked) != 0);
    }
    hold(!facts.unknown || (!facts.known && !facts.ask));
    freeReplyObject(reply);
}

static void look_around(struct command_table *book, char *words)
{
    static const char *const never[] = {"auth",    "select", "client", "multi",
                                        "monitor", "quit",   "post",   "wait"};
    bool unknown = look(book, "no such name", "").allowed;

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        hold(!look(book, never[i], "").allowed && !look(book, never[i], "get").allowed);
    }
    hold(!look(book, "", "").allowed && !look(book, "script", "debug").allowed);
    hold(command_table_has_table(book) || look(book, "ping", "").read_only);
    hold(look(book, "no such name", "get").allowed == unknown);
    for (char *at = words; *at != '\0';) {
        const char *name = next_line(&at);
        const char *sub = next_line(&at);
        struct command_facts facts = look(book, name, sub);

        hold(facts.known || facts.script);
        if (strlen(name) < COMMAND_NAME_SIZE) { /* as all that come from requests */
            answer(book, name, sub, strlen(sub) % 2 == 0);
        }
        hold(command_table_has_table(book) || !facts.known);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    char error[256] = "";
    char *text = malloc(size + 1);

    hold(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    char *at = text;
    const char *rules = next_line(&at);
    char *line = next_line(&at);
    struct policy *policy = policy_parse(rules, error, sizeof(error));
    if (!policy) {
        hold(error[0] != '\0' && !strchr(error, '\n'));
        free(text);
        return 0;
    }
    redisReply *table = *line == '\0'  ? read_table(small)
                        : *line == '-' ? NULL
                                       : read_line_table(line);
    struct policy *copy = policy_copy(policy);
    policy_free(policy);
    struct command_table *book = command_table_new(copy, table);
    policy_free(copy);
    freeReplyObject(table);
    if (*line == '\0') {
        struct command_facts get = look(book, "get", "k");
        bool open = !get.ask && !command_table_closed(book);

        hold(command_table_has_table(book) && (!open || (get.read_only && get.known)));
        hold(!look(book, "blpop", "k").allowed);
    }
    look_around(book, at);
    command_table_free(book);
    free(text);
    return 0;
}
