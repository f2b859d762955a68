/*
 * --probe: an answer, whole and bit by bit: what its head says is said once and stays so; and the
 * same bytes as a URL.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/probe.h"

static void look_at(const char *bytes, size_t size)
{
    struct probe_answer before = {0};

    for (size_t n = 1; n <= size; n++) {
        struct probe_answer answer = probe_look(bytes, n);

        if (answer.head_size > n || (answer.status == 0) != (answer.head_size == 0) ||
            answer.status > 999 || answer.body_size < -1 ||
            (answer.failure && answer.status != 0)) {
            abort();
        }
        if ((before.status != 0 &&
             (answer.status != before.status || answer.head_size != before.head_size ||
              answer.body_size != before.body_size)) ||
            (before.failure && !answer.failure)) {
            abort();
        }
        before = answer;
    }
}

static void read_as_url(const char *bytes, size_t size)
{
    char *url = malloc(size + 1), words[PROBE_WORDS_SIZE] = "";
    struct probe_target target;

    if (!url) {
        abort();
    }
    memcpy(url, bytes, size);
    url[size] = '\0';
    if (probe_read_url(url, &target, words) != 0) {
        if (words[0] == '\0') {
            abort();
        }
    } else if (target.path[0] != '/' || strpbrk(target.path, " \r\n#") ||
               (target.socket[0] == '\0') == (target.address.port == 0)) {
        abort();
    }
    free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    look_at((const char *)data, size);
    read_as_url((const char *)data, size);
    return 0;
}
