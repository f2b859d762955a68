/* Words that others chose, where they have to stay within a line: of a protocol, or of text. */
#ifndef BELLWETHER_BASE_ONE_LINE_H
#define BELLWETHER_BASE_ONE_LINE_H

#include <stddef.h>

/** Make a blank of each CR and LF. @param bytes  need not be terminated. Thread: any. */
void one_line(char *bytes, size_t size);

#endif
