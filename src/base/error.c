/* Words for the project's error codes. */
#include "bellwether/base/error.h"

const char *error_string(int code)
{
    unsigned positive = code < 0 ? 0U - (unsigned)code : (unsigned)code;

    switch (positive) {
    case 0: return "success";
#define X(name, number, text) \
    case (number): return text;
        BW_ERRORS(X)
#undef X
    default: return "unknown error";
    }
}
