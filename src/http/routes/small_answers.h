/* Responses that are used again. */
#ifndef BELLWETHER_HTTP_ROUTES_SMALL_ANSWERS_H
#define BELLWETHER_HTTP_ROUTES_SMALL_ANSWERS_H

#include <stddef.h>

#include "bellwether/base/list.h"
#include "http/server/response.h"

#define SMALL_SIZE_MAX 255 /* bytes of a small answer */

/* The small answers that a worker keeps; zeroed before use. */
struct small_answers {
    struct list kept[SMALL_SIZE_MAX + 1]; /* of struct small_answer, by size */
    size_t n;
    unsigned edition; /* of their headers */
};

/**
 * A response with this body that is out from now on. @param headers the same for all until
 * small_answer_drop_all().
 */
struct small_answer *small_answer_take(struct small_answers *answers,
                                       const struct response_headers *headers, const char *body,
                                       size_t size);
struct MHD_Response *small_answer_response(const struct small_answer *small);
/** libmicrohttpd is done with it. */
void small_answer_give_back(struct small_answers *answers, struct small_answer *small);
void small_answer_drop_all(struct small_answers *answers);

#endif
