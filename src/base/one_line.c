/* See one_line.h. */
#include "bellwether/base/one_line.h"

void one_line(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\r' || bytes[i] == '\n') {
            bytes[i] = ' ';
        }
    }
}
