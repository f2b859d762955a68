/* Which commands of a request may run. */
#ifndef BELLWETHER_COMMANDS_REQUEST_JUDGE_H
#define BELLWETHER_COMMANDS_REQUEST_JUDGE_H

#include "request_run.h"

#define SCAN_LOST \
    "SCANLOST the server that this cursor belongs to is not served any more: begin the scan again, with 0"

/**
 * All of them, once, by the command table.
 * @param ask  set where the server has to be asked for a name first.
 * @return false: not yet.
 */
bool request_run_judge(struct request_run *run, const char **ask);
/** Its cursor leads nowhere any more. @param words begin with SCANLOST. */
void command_run_lose_scan(struct request_run *run, size_t i, const char *words);

#endif
