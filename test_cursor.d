test_cursor.o: tests/unit/redis/test_cursor.c \
  include/bellwether/redis/cursor.h include/bellwether/base/address.h

include/bellwether/redis/cursor.h:

include/bellwether/base/address.h:
