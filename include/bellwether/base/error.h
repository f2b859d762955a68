/*
 * The project's own list of errors. Functions that can fail return 0 or the negative of one of
 * these; the words for a person go into a caller's buffer.
 */
#ifndef BELLWETHER_BASE_ERROR_H
#define BELLWETHER_BASE_ERROR_H

enum bw_error {
    BW_EINVAL = 1, /* invalid value */
    BW_ERANGE,     /* out of range */
    BW_ENOENT,     /* not found */
    BW_EIO,        /* input/output error */
    BW_EPROTO,     /* unexpected reply */
    BW_EDENIED,    /* permission denied */
    BW_EBUSY,      /* in use */
    BW_ERESOLVE,   /* name does not resolve */
    BW_ENIL,       /* nil reply */
};

#endif
