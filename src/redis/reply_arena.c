/*
 * Replies in few pieces of memory.
 *
 * hiredis makes every element of a reply an object of its own, and a string of it one more: some
 * 160 for a master's row, all of them freed as soon as whoever asked has looked at them. Here they
 * lie side by side in blocks that go together, so a reply costs a few allocations. The reader calls
 * these functions through its table; what they make is what its own would make (redisReply), except
 * that nothing is ever freed alone, and that a push stays one where it is nil.
 */
#include "reply_arena.h"

#include <string.h>

#include "bellwether/base/budget.h"

/* The first few blocks are of a size that malloc() has at hand; a longer reply gets large ones. */
enum { BLOCK_SMALL_BYTES = 1024, BLOCK_LARGE_BYTES = 64 * 1024, SMALL_BLOCKS = 16, ALIGNMENT = 8 };
/* Of lists in lists. COMMAND of Redis 7 has eight. */
enum { DEPTH_MAX = 32 };

struct conn_block {
    struct conn_block *next; /* the one before it */
    size_t number, used, room;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct conn_block *block_new(struct conn_arena *arena, size_t least)
{
    size_t number = !arena->last ? 0 : arena->last->number + 1;
    size_t room =
        (number < SMALL_BLOCKS ? BLOCK_SMALL_BYTES : BLOCK_LARGE_BYTES) - sizeof(struct conn_block);
    struct conn_block *block;

    room = room < least ? least : room;
    block = budget_resize(NULL, 1, sizeof(*block) + room);
    *block = (struct conn_block){.next = arena->last, .number = number, .room = room};
    arena->last = block;
    return block;
}

static void *arena_take(struct conn_arena *arena, size_t size)
{
    struct conn_block *block = arena->last;

    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (!block || block->room - block->used < size) {
        block = block_new(arena, size);
    }
    block->used += size;
    return block->bytes + block->used - size;
}

void conn_arena_release(struct conn_arena *arena)
{
    arena->elements = 0;
    arena->overdone = false;
    while (arena->last) {
        struct conn_block *block = arena->last;

        arena->last = block->next;
        budget_free(block);
    }
}

/* ---- what the reader calls ---- */

_Static_assert(_Alignof(redisReply) <= ALIGNMENT, "ALIGNMENT");

/* @param type not always the task's: a nil may be written as a string or an array. */
static redisReply *object_new(const redisReadTask *task, int type)
{
    redisReply *reply = arena_take(task->privdata, sizeof(*reply));

    memset(reply, 0, sizeof(*reply));
    reply->type = type;
    if (task->parent) {
        redisReply *parent = task->parent->obj;

        parent->element[task->idx] = reply;
    }
    return reply;
}

static void set_text(const redisReadTask *task, redisReply *reply, const char *text, size_t length)
{
    reply->str = arena_take(task->privdata, length + 1);
    memcpy(reply->str, text, length);
    reply->str[length] = '\0';
    reply->len = length;
}

static void *make_string(const redisReadTask *task, char *text, size_t length)
{
    redisReply *reply = object_new(task, task->type);

    if (task->type == REDIS_REPLY_VERB) { /* "txt:", checked by the reader */
        memcpy(reply->vtype, text, 3);
        text += 4;
        length -= 4;
    }
    set_text(task, reply, text, length);
    return reply;
}

/*
 * An array's place is taken before its elements came, on each level anew: so a few bytes could ask
 * for gigabytes.
 * @return whether it is more, or deeper, than any honest reply.
 */
static bool is_too_much(const redisReadTask *task, size_t elements)
{
    struct conn_arena *arena = task->privdata;
    size_t depth = 0;

    for (const redisReadTask *above = task->parent; above; above = above->parent) {
        depth++;
    }
    arena->overdone = depth > DEPTH_MAX || elements > TREE_ELEMENTS_MAX - arena->elements;
    return arena->overdone;
}

/* @return NULL: that ends the reply, and the connection. */
static void *make_array(const redisReadTask *task, size_t elements)
{
    redisReply *reply;

    if (is_too_much(task, elements)) {
        return NULL;
    }
    ((struct conn_arena *)task->privdata)->elements += elements;
    reply = object_new(task, task->type);
    reply->elements = elements;
    if (elements > 0) {
        reply->element = arena_take(task->privdata, elements * sizeof(redisReply *));
        memset(reply->element, 0, elements * sizeof(redisReply *));
    }
    return reply;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    redisReply *reply = object_new(task, REDIS_REPLY_INTEGER);

    reply->integer = value;
    return reply;
}

static void *make_double(const redisReadTask *task, double value, char *text, size_t length)
{
    redisReply *reply = object_new(task, REDIS_REPLY_DOUBLE);

    reply->dval = value;
    set_text(task, reply, text, length);
    return reply;
}

static void *make_nil(const redisReadTask *task)
{
    /* hiredis would make a nil of it, which is an answer */
    bool is_push = !task->parent && task->type == REDIS_REPLY_PUSH;

    return object_new(task, is_push ? REDIS_REPLY_PUSH : REDIS_REPLY_NIL);
}

static void *make_bool(const redisReadTask *task, int value)
{
    redisReply *reply = object_new(task, REDIS_REPLY_BOOL);

    reply->integer = value != 0;
    return reply;
}

/* conn_arena_release() frees all of them. */
static void free_nothing(void *reply)
{
    (void)reply;
}

void conn_arena_serve(struct conn_arena *arena, redisReader *reader)
{
    static redisReplyObjectFunctions functions = {
        .createString = make_string,
        .createArray = make_array,
        .createInteger = make_integer,
        .createDouble = make_double,
        .createNil = make_nil,
        .createBool = make_bool,
        .freeObject = free_nothing,
    };

    reader->fn = &functions;
    reader->privdata = arena;
}
