/*
 * What a caller wants run: a request's body or path in, commands in RESP out. Pure.
 *
 * Words of errors name what is wrong and where ("command 2, argument 1: null; it takes strings,
 * numbers and booleans"), never an argument's contents.
 */
#ifndef BELLWETHER_COMMANDS_BATCH_H
#define BELLWETHER_COMMANDS_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "bellwether/base/buffer.h"

#define BATCH_COMMANDS_MAX 10000  /* of a pipeline or transaction */
#define BATCH_ARGUMENTS_MAX 65535 /* of a command, its name included */
#define COMMAND_NAME_SIZE 64
#define BATCH_ERROR_SIZE 256

struct command {
    size_t at, size;              /* its RESP in the batch's `wire` */
    size_t arguments;             /* its name included */
    char name[COMMAND_NAME_SIZE]; /* lower case; a name that does not fit, or holds a NUL, is "" */
    /* the second argument in lower case, where it fits and holds no NUL; else "" */
    char sub[COMMAND_NAME_SIZE];
    char *error; /* what is wrong with it, owned; NULL: nothing. Then it has no RESP */
    bool scans;  /* whoever runs it notes here that its reply begins with a cursor */
};

struct batch {
    struct command *commands;
    size_t n;
    bool many; /* a list of commands, whose answer is a list, too */
    struct buffer wire;
};

enum batch_shape { BATCH_ONE, BATCH_MANY };

/**
 * Read a JSON body: ["SET","k","v"] or, with BATCH_MANY, [[…],[…]].
 *
 * Strings go as they are (a NUL by \u0000 too; a lone surrogate as U+FFFD), numbers and booleans as
 * they are spelled.
 * @param body  borrowed, not terminated.
 * @param out   set on success, untouched on failure; batch_free() it.
 * @return 0; -BW_EINVAL with words in `error`: not JSON, not that shape, empty, too many. With
 *         BATCH_MANY what is wrong with one element only stands in its `error`, and the batch is
 *         read.
 * Thread: any.
 */
int batch_read(const char *body, size_t size, enum batch_shape shape, struct batch **out,
               char error[BATCH_ERROR_SIZE]);

/** Whether it is a JSON document, of any kind, to 2048 lists and objects inside each other. */
bool batch_is_json(const char *text, size_t size);

/* ---- what makes a batch ---- */

/** `n` commands, of which nothing is known yet. */
struct batch *batch_new(size_t n);
/** The same batch with room for `n`; it may be elsewhere in memory from now on. */
struct batch *batch_grow(struct batch *batch, size_t n);
/** One more argument in RESP. @param bytes copied. */
void batch_put(struct batch *batch, struct command *command, const char *bytes, size_t size);
/** The same in two steps: begin, write, end. @return where `size` bytes go. */
char *batch_begin_put(struct batch *batch, size_t size);
void batch_end_put(struct batch *batch, struct command *command, size_t size);

/*
 * One that is put together: /redis/{command}/{argument…}, the body as one more, and what the query
 * appends.
 */
struct batch *batch_new_path(void);
/**
 * @param raw  the path behind `/redis/`, percent-encoded; `%00` and `%2F` are bytes like any other.
 *             A slash at its end is ignored.
 * @return 0; -BW_EINVAL.
 */
int batch_add_path(struct batch *batch, const char *raw, char error[BATCH_ERROR_SIZE]);
/** One more argument, byte for byte. */
int batch_add_argument(struct batch *batch, const char *bytes, size_t size,
                       char error[BATCH_ERROR_SIZE]);
/** The arguments are complete. @return 0; -BW_EINVAL: none, or an empty name. */
int batch_end_path(struct batch *batch, char error[BATCH_ERROR_SIZE]);

/* ---- what it says ---- */

/** The RESP of one command. Borrowed. */
const char *batch_wire(const struct batch *batch, size_t i);
/**
 * The next argument of a command's RESP, its name to begin with; there has to be one more.
 * @param at  at first what batch_wire() returned; set to behind the argument.
 * @return its bytes, `size` of them. Borrowed, not terminated.
 */
const char *batch_next_argument(const char **at, size_t *size);
/**
 * Argument `k` (0: the name, which there always is) of a command that has so many, to be changed in
 * place. Borrowed.
 */
char *batch_argument(struct batch *batch, size_t i, size_t k, size_t *size);
void batch_free(struct batch *batch);

#endif
