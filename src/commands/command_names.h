/* Names of commands, and those that rules may use without a server being asked. */
#ifndef BELLWETHER_COMMANDS_COMMAND_NAMES_H
#define BELLWETHER_COMMANDS_COMMAND_NAMES_H

#include "bellwether/commands/batch.h"

/**
 * A name as it is compared: in lower case.
 * @return false, and `out` is untouched: it is empty, too long, or holds a NUL, as no name does.
 */
bool command_name_copy(char out[COMMAND_NAME_SIZE], const char *bytes, size_t size);
/** Whether servers have such a category, without @, in lower case. */
bool command_category_exists(const char *category);
/** Whether some version of the server has it. @param sub "": none. */
bool command_is_core(const char *name, const char *sub);
/**
 * The name that is a slip of the pen away from this one, which none has. @return NULL: there is
 * none. Static.
 */
const char *command_meant(const char *name, const char *sub);

#endif
