/*
 * The project's own list of errors. Functions that can fail return 0 or the
 * negative of one of these; the words for a person go into a caller's buffer.
 */
#ifndef BELLWETHER_BASE_ERROR_H
#define BELLWETHER_BASE_ERROR_H

#define BW_ERRORS(X) \
    X(BW_EINVAL, 1, "invalid value") \
    X(BW_ERANGE, 2, "out of range") \
    X(BW_ENOENT, 3, "not found") \
    X(BW_EIO, 4, "input/output error") \
    X(BW_EPROTO, 5, "unexpected reply") \
    X(BW_EDENIED, 6, "permission denied") \
    X(BW_EBUSY, 7, "in use") \
    X(BW_ETIMEDOUT, 8, "timed out") \
    X(BW_ERESOLVE, 9, "name does not resolve") \
    X(BW_ENIL, 10, "nil reply")

enum bw_error {
#define X(name, number, text) name = (number),
    BW_ERRORS(X)
#undef X
};

/**
 * The words for an error code.
 *
 * @param code  0, or a code of the list, negative or positive.
 * @return a static string; "success" for 0, "unknown error" for what is not in the list.
 * Thread:  any.
 */
const char *error_string(int code);

#endif
