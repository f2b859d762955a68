/*
 * Small answers are given again and again: "OK", a number, a short value. To make a response and
 * its headers costs as much as to run the command, so those of a size are used in turn; what
 * differs is the body. A response is out from when it is queued until libmicrohttpd is done with
 * its request, and only then is its buffer written again.
 */
#include "small_answers.h"

#include <stdlib.h>
#include <string.h>

#include "bellwether/base/memory.h"

#define SMALL_AT_ONCE 512 /* that are kept */

struct small_answer {
    struct list_link link; /* while it is kept */
    struct MHD_Response *response;
    size_t size;
    unsigned edition; /* of the headers: the node that they name */
    char body[];
};

static struct small_answer *take_kept(struct small_answers *answers, size_t size)
{
    struct list_link *link = list_take_first(&answers->kept[size]);

    answers->n -= link != NULL;
    return LIST_OWNER(link, struct small_answer, link);
}

static void small_answer_free(struct small_answer *small)
{
    MHD_destroy_response(small->response);
    free(small);
}

static struct small_answer *small_answer_new(const struct small_answers *answers,
                                             const struct response_headers *headers, size_t size)
{
    struct small_answer *small = mem_new(1, sizeof(*small) + size);

    small->size = size;
    small->edition = answers->edition;
    small->response = response_new_static(headers, small->body, size);
    return small;
}

struct small_answer *small_answer_take(struct small_answers *answers,
                                       const struct response_headers *headers, const char *body,
                                       size_t size)
{
    struct small_answer *small = take_kept(answers, size);

    if (!small) {
        small = small_answer_new(answers, headers, size);
    }
    memcpy(small->body, body, size);
    return small;
}

struct MHD_Response *small_answer_response(const struct small_answer *small)
{
    return small->response;
}

void small_answer_give_back(struct small_answers *answers, struct small_answer *small)
{
    if (small->edition != answers->edition || answers->n >= SMALL_AT_ONCE) {
        small_answer_free(small);
        return;
    }
    list_insert_after(&answers->kept[small->size], NULL, &small->link);
    answers->n++;
}

void small_answer_drop_all(struct small_answers *answers)
{
    for (size_t size = 0; size <= SMALL_SIZE_MAX; size++) {
        for (struct small_answer *small; (small = take_kept(answers, size));) {
            small_answer_free(small);
        }
    }
    answers->edition++;
}
