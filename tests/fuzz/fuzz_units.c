/* Durations, sizes, numbers: what is accepted comes back the same from its formatted text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bellwether/base/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[64];
    char out[UNITS_TEXT_SIZE];
    int64_t value = -77;
    int64_t again = -77;

    size = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    if (duration_parse(text, &value) == 0) {
        check(value >= 0 && value <= INT64_C(1) << 53);
        duration_format(value, out);
        check(duration_parse(out, &again) == 0 && again == value);
    } else {
        check(value == -77);
    }
    value = again = -77;
    if (bytes_parse(text, &value) == 0) {
        check(value >= 0);
        bytes_format(value, out);
        check(bytes_parse(out, &again) == 0 && again == value);
    } else {
        check(value == -77);
    }
    value = -77;
    if (integer_parse(text, -50, 1000000, &value) == 0) {
        check(value >= -50 && value <= 1000000);
    } else {
        check(value == -77);
    }
    return 0;
}
