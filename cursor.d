cursor.o: src/redis/cursor.c include/bellwether/redis/cursor.h \
  include/bellwether/base/address.h

include/bellwether/redis/cursor.h:

include/bellwether/base/address.h:
