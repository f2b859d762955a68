/*
 * The status page: what `/` answers to browsers. The page is static (src/http/render/page/) and its
 * script asks the other routes for the state. Where no script runs, what `/status?format=text` says
 * stands in a <noscript> between the page's two pieces. Its style and script are inline, and the
 * policy names the hash of each: nothing else runs, whatever a Sentinel may call its masters.
 */
#include "page.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "bellwether/base/memory.h"
#include "bellwether/http/embedded.h"
#include "bellwether/http/master_json.h"
#include "http/server/request.h"
#include "status.h"

static void put_escaped(FILE *to, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': fputs("&amp;", to); break;
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        default: fputc(*text, to);
        }
    }
}

void page_handle(struct request *request)
{
    char *text = status_ask_text(request), *body = NULL;
    json_t *valid;
    size_t size;
    FILE *to;

    if (!text) {
        return;
    }
    to = open_memstream(&body, &size);
    if (!to) {
        mem_exhausted();
    }
    valid = render_text(text); /* what comes from Sentinels may be any bytes */
    fwrite(embedded_page_head, 1, embedded_page_head_size, to);
    put_escaped(to, json_string_value(valid));
    fwrite(embedded_page_tail, 1, embedded_page_tail_size, to);
    if (fclose(to) != 0) {
        mem_exhausted();
    }
    json_decref(valid);
    free(text);
    request_answer_bytes(request, CONTENT_HTML, embedded_page_policy, body, size);
}
